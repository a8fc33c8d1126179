//! The mesh under every order of its threads that the memory model allows, by loom. The doorbell
//! and the queues are the real ones, built over `sync`'s stand-ins; the mutants show that the
//! models would see a fault.
//!
//!     RUSTFLAGS="--cfg loom" cargo test -p ringfort-shards --release --lib mesh::models --target-dir target/loom

use super::*;
use loom::thread;

/// What is left out of the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    /// Nothing: the protocol as it is.
    Nothing,
    /// The consumer does not look at its queues again between `prepare` and sleep.
    SecondLook,
    /// The consumer's fence.
    ConsumersFence,
    /// The producer's fence.
    ProducersFence,
}

fn bell() -> Doorbell {
    Doorbell {
        asleep: AtomicBool::new(false),
        descriptor: Descriptor::model(),
    }
}

fn inbox() -> Arc<Inbox<u32>> {
    Arc::new(Inbox::new(4, Arc::new(Mailbox::new(1, bell()))))
}

/// The real one, or a mutant without the fence.
fn prepare(bell: &Doorbell, without: Without) {
    if without == Without::ConsumersFence {
        bell.asleep.store(true, Ordering::Relaxed);
    } else {
        bell.prepare();
    }
}

fn ring(bell: &Doorbell, without: Without) {
    if without != Without::ProducersFence {
        bell.ring();
    } else if bell.asleep.load(Ordering::Relaxed)
        && bell
            .asleep
            .compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    {
        bell.strike();
    }
}

/// The packet thread's loop until `count` messages have come; loom reports a deadlock when it
/// sleeps while one lies in the queue.
fn consume(inbox: &Inbox<u32>, count: usize, without: Without) {
    let (bell, mut got) = (inbox.mailbox().bell(), 0);
    while got < count {
        while inbox.pop().is_some() {
            got += 1;
        }
        if got == count {
            break;
        }
        prepare(bell, without);
        if without == Without::SecondLook || inbox.is_empty() {
            bell.descriptor.sleep();
        }
        bell.awake();
        thread::yield_now();
    }
}

fn model(producers: u32, each: u32, without: Without) {
    let mut builder = loom::model::Builder::new();
    // Three threads have too many orders: all with at most two preemptions are looked at.
    builder.preemption_bound = (producers > 1).then_some(2);
    builder.check(move || {
        let inbox = inbox();
        let threads: Vec<_> = (0..producers)
            .map(|id| {
                let inbox = inbox.clone();
                thread::spawn(move || {
                    for number in 0..each {
                        assert!(inbox.push(Sender::Ops, id * each + number).is_ok());
                        ring(inbox.mailbox().bell(), without);
                    }
                })
            })
            .collect();
        consume(&inbox, (producers * each) as usize, without);
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert!(inbox.is_empty());
    });
}

#[test]
fn one_producer_wakes_the_sleeper() {
    model(1, 2, Without::Nothing);
}

#[test]
fn two_producers_wake_the_sleeper() {
    model(2, 1, Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_second_look_is_needed() {
    model(1, 1, Without::SecondLook);
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_consumers_fence_is_needed() {
    model(1, 1, Without::ConsumersFence);
}

#[test]
#[should_panic(expected = "deadlock")]
fn the_producers_fence_is_needed() {
    model(1, 1, Without::ProducersFence);
}

/// `Commands::stop` and `Cluster::end`: a flag, then a strike whoever sleeps.
#[test]
fn a_stop_wakes_the_sleeper() {
    loom::model(|| {
        let shared = Arc::new((bell(), AtomicBool::new(false)));
        let other = shared.clone();
        let stopper = thread::spawn(move || {
            other.1.store(true, Ordering::SeqCst);
            other.0.strike();
        });
        let (bell, stop) = &*shared;
        while !stop.load(Ordering::Relaxed) {
            bell.prepare();
            if !stop.load(Ordering::Relaxed) {
                bell.descriptor.sleep();
            }
            bell.awake();
            thread::yield_now();
        }
        stopper.join().expect("no panic");
    });
}

/// What a producer wrote before its push is seen by who pops.
#[test]
fn a_message_brings_what_came_before_it() {
    loom::model(|| {
        let (inbox, written) = (inbox(), Arc::new(loom::sync::atomic::AtomicUsize::new(0)));
        let (far, mark) = (inbox.clone(), written.clone());
        let producer = thread::spawn(move || {
            mark.store(1, Ordering::Relaxed);
            assert!(far.push(Sender::Ops, 7).is_ok());
            far.ring();
        });
        consume(&inbox, 1, Without::Nothing);
        assert_eq!(written.load(Ordering::Relaxed), 1);
        producer.join().expect("no panic");
    });
}
