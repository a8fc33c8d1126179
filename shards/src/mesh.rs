//! How threads reach a packet thread: bounded queues and a doorbell that is rung only when the
//! packet thread sleeps.
//!
//! A queue that is full means shed: the message comes back to the sender, who counts it.

use crate::program::{Sender, StreamEvent};
use crate::sync::{ArrayQueue, AtomicBool, Descriptor, fence};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[cfg(all(test, loom))]
mod models;

/// Wakes one sleeping consumer, at the cost of a system call only when it does sleep.
///
/// The consumer: [`prepare`](Self::prepare), look at every queue once more, sleep on the
/// descriptor only if all are empty, [`awake`](Self::awake). The producer: push, then
/// [`ring`](Self::ring). Both sides put a sequentially consistent fence between their own write
/// and their look at the other's, so at least one of them sees the other: a message is never
/// left lying while the consumer sleeps.
#[derive(Debug)]
pub struct Doorbell {
    asleep: AtomicBool,
    descriptor: Descriptor,
}

impl Doorbell {
    /// A doorbell over an eventfd or one end of a socket pair, non-blocking.
    #[must_use]
    pub fn new(descriptor: OwnedFd) -> Self {
        Self {
            asleep: AtomicBool::new(false),
            descriptor: Descriptor::new(descriptor),
        }
    }

    /// Consumer: about to sleep. Look at the queues after this.
    pub fn prepare(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Consumer: awake again, nobody needs to ring.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Producer: after a push. Returns whether the bell had to be rung.
    pub fn ring(&self) -> bool {
        fence(Ordering::SeqCst);
        // One of several producers rings. An exchange that fails writes nothing: loom does not know that a
        // swap stands right behind what it read, and would see a wake-up lost that cannot be.
        let rung = self.asleep.load(Ordering::Relaxed)
            && self
                .asleep
                .compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok();
        if rung {
            self.strike();
        }
        rung
    }

    /// Rings whether or not the consumer sleeps.
    pub fn strike(&self) {
        self.descriptor.strike();
    }

    /// What the consumer sleeps on (for an eventfd).
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.descriptor.raw()
    }
}

/// Where companions leave events for one packet thread.
#[derive(Debug)]
pub struct Mailbox {
    events: ArrayQueue<StreamEvent>,
    bell: Doorbell,
}

impl Mailbox {
    /// Room for `capacity` events.
    #[must_use]
    pub fn new(capacity: usize, bell: Doorbell) -> Self {
        Self {
            events: ArrayQueue::new(capacity.max(1)),
            bell,
        }
    }

    /// Leaves an event; does not ring.
    /// # Errors
    /// Gives the event back when the mailbox is full.
    pub fn push(&self, event: StreamEvent) -> Result<(), StreamEvent> {
        self.events.push(event)
    }

    /// Takes the oldest event.
    #[must_use]
    pub fn pop(&self) -> Option<StreamEvent> {
        self.events.pop()
    }

    /// The packet thread's doorbell.
    #[must_use]
    pub fn bell(&self) -> &Doorbell {
        &self.bell
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// One packet thread's inbox: mesh messages of type `M`, and its mailbox.
#[derive(Debug)]
pub struct Inbox<M> {
    messages: ArrayQueue<(Sender, M)>,
    mailbox: Arc<Mailbox>,
}

impl<M> Inbox<M> {
    /// Room for `capacity` messages.
    #[must_use]
    pub fn new(capacity: usize, mailbox: Arc<Mailbox>) -> Self {
        Self {
            messages: ArrayQueue::new(capacity.max(1)),
            mailbox,
        }
    }

    /// Leaves a message; does not ring.
    /// # Errors
    /// Gives the message back when the queue is full.
    pub fn push(&self, from: Sender, message: M) -> Result<(), M> {
        self.messages.push((from, message)).map_err(|(_, message)| message)
    }

    /// Takes the oldest message.
    #[must_use]
    pub fn pop(&self) -> Option<(Sender, M)> {
        self.messages.pop()
    }

    /// How many messages wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.messages.len()
    }

    /// Rings the packet thread's doorbell if it sleeps.
    pub fn ring(&self) -> bool {
        self.mailbox.bell.ring()
    }

    /// The mailbox of the same packet thread.
    #[must_use]
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Whether neither a message nor an event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.mailbox.is_empty()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::AtomicU64;

    fn bell() -> (Doorbell, UnixStream) {
        let (near, far) = UnixStream::pair().expect("socket pair");
        near.set_nonblocking(true).expect("non-blocking");
        (Doorbell::new(near.into()), far)
    }

    #[test]
    fn full_gives_back() {
        let inbox = Inbox::new(2, Arc::new(Mailbox::new(1, bell().0)));
        assert_eq!(inbox.push(Sender::Ops, 1), Ok(()));
        assert_eq!(inbox.push(Sender::Shard(3), 2), Ok(()));
        assert_eq!(inbox.push(Sender::Ops, 3), Err(3));
        assert_eq!(inbox.pop(), Some((Sender::Ops, 1)));
        assert_eq!(inbox.pop(), Some((Sender::Shard(3), 2)));
        assert!(inbox.is_empty());
    }

    #[test]
    fn rings_once_and_only_for_a_sleeper() {
        let (bell, _far) = bell();
        assert!(!bell.ring());
        bell.prepare();
        assert!(bell.ring());
        assert!(!bell.ring());
        bell.prepare();
        bell.awake();
        assert!(!bell.ring());
    }

    /// A consumer that truly sleeps gets every message of two producers; a lost wake-up would
    /// hang it, which the read timeout turns into a failure.
    #[test]
    fn no_wake_up_is_lost() {
        let (bell, mut far) = bell();
        far.set_read_timeout(Some(std::time::Duration::from_secs(20)))
            .expect("timeout");
        let inbox = Arc::new(Inbox::new(64, Arc::new(Mailbox::new(1, bell))));
        const EACH: u64 = 20_000;
        let rung = Arc::new(AtomicU64::new(0));
        let producers: Vec<_> = (0..2)
            .map(|id| {
                let (inbox, rung) = (inbox.clone(), rung.clone());
                std::thread::spawn(move || {
                    for i in 0..EACH {
                        let mut message = i;
                        while let Err(back) = inbox.push(Sender::Shard(id), message) {
                            message = back;
                            std::thread::yield_now();
                        }
                        rung.fetch_add(u64::from(inbox.ring()), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut next = [0, 0];
        let mut got = 0;
        while got < 2 * EACH {
            while let Some((from, message)) = inbox.pop() {
                let Sender::Shard(id) = from else {
                    panic!("only shards send here")
                };
                assert_eq!(message, next[id as usize], "order of one sender");
                next[id as usize] += 1;
                got += 1;
            }
            inbox.mailbox().bell().prepare();
            if inbox.is_empty() && got < 2 * EACH {
                let mut octets = [0; 64];
                assert!(far.read(&mut octets).expect("a lost wake-up") > 0);
            }
            inbox.mailbox().bell().awake();
        }
        for producer in producers {
            producer.join().expect("producer");
        }
        assert!(rung.load(Ordering::Relaxed) <= 2 * EACH);
    }
}
