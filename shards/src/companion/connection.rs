//! One stream connection: its octets in, its queue out.

use crate::pool::Buf;
use crate::program::{ConnId, ListenerId, ShardId};
use crate::sys;
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_lite::ready;
use glommio::net::TcpStream;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Who wants to hear when a message could not be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    pub(super) tag: u64,
    pub(super) reply_to: ShardId,
}

/// Something to be written.
pub(super) struct Outgoing {
    pub(super) bytes: Buf,
    /// `None` for answers to keep-alives.
    pub(super) receipt: Option<Receipt>,
}

/// One connection; shared by its reader, its writer and the table.
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) listener: ListenerId,
    pub(super) peer: SocketAddr,
    /// When the last octet came or went.
    pub(super) active: Cell<Instant>,
    /// Since when a message is incomplete.
    pub(super) partial: Cell<Option<Instant>>,
    /// When a peer that has not sent a whole message yet was accepted: until it has sent one it is a
    /// stranger, and a stranger holds its descriptor for the time of one message only.
    pub(super) stranger: Cell<Option<Instant>>,
    stream: RefCell<Option<TcpStream>>,
    queue: RefCell<VecDeque<Outgoing>>,
    queued: Cell<usize>,
    writer: RefCell<Option<Waker>>,
    /// To be closed once the queue is empty.
    finishing: Cell<bool>,
    closed: Cell<bool>,
}

impl Connection {
    pub(super) fn new(id: ConnId, listener: ListenerId, peer: SocketAddr) -> Self {
        Self {
            id,
            listener,
            peer,
            active: Cell::new(Instant::now()),
            partial: Cell::new(None),
            stranger: Cell::new(None),
            stream: RefCell::new(None),
            queue: RefCell::new(VecDeque::new()),
            queued: Cell::new(0),
            writer: RefCell::new(None),
            finishing: Cell::new(false),
            closed: Cell::new(false),
        }
    }

    /// The connection is established.
    pub(super) fn open(&self, stream: TcpStream) {
        // Messages are whole writes; waiting to fill a segment only adds delay.
        let _ = stream.set_nodelay(true);
        *self.stream.borrow_mut() = Some(stream);
        self.active.set(Instant::now());
    }

    pub(super) fn is_open(&self) -> bool {
        !self.closed.get() && self.stream.borrow().is_some()
    }

    /// Whether everything was written.
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Queues a message.
    /// # Errors
    /// Gives it back when the queue would hold more than `limit` octets.
    pub(super) fn push(&self, outgoing: Outgoing, limit: usize) -> Result<(), Outgoing> {
        let queued = self.queued.get() + outgoing.bytes.len();
        if queued > limit || self.closed.get() || self.finishing.get() {
            return Err(outgoing);
        }
        self.queued.set(queued);
        self.queue.borrow_mut().push_back(outgoing);
        self.wake_writer();
        Ok(())
    }

    fn wake_writer(&self) {
        if let Some(writer) = self.writer.borrow_mut().take() {
            writer.wake();
        }
    }

    /// Closes once the queue is empty.
    pub(super) fn finish(&self) {
        self.finishing.set(true);
        self.wake_writer();
    }

    /// Ends both directions; the reader sees the end and cleans up.
    pub(super) fn abort(&self) {
        if let Some(stream) = &*self.stream.borrow() {
            sys::shutdown(stream.as_raw_fd());
        }
        self.finishing.set(true);
    }

    /// As [`abort`](Self::abort), for a peer that does not read: nothing lingers for it.
    pub(super) fn reset(&self) {
        if let Some(stream) = &*self.stream.borrow() {
            sys::close_hard(stream.as_raw_fd());
        }
        self.abort();
    }

    /// The end: the socket is closed; returns what was not written.
    pub(super) fn close(&self) -> VecDeque<Outgoing> {
        self.closed.set(true);
        self.stream.borrow_mut().take();
        self.wake_writer();
        self.queued.set(0);
        std::mem::take(&mut *self.queue.borrow_mut())
    }

    /// Waits for octets and appends them to `into`; 0 at the end.
    pub(super) async fn read(&self, scratch: &RefCell<Vec<u8>>, into: &mut Vec<u8>) -> io::Result<usize> {
        futures_lite::future::poll_fn(|cx| {
            let mut stream = self.stream.borrow_mut();
            let Some(stream) = stream.as_mut() else {
                return Poll::Ready(Ok(0));
            };
            let mut scratch = scratch.borrow_mut();
            let len = ready!(Pin::new(stream).poll_read(cx, &mut scratch))?;
            into.extend_from_slice(scratch.get(..len).unwrap_or(&[]));
            self.active.set(Instant::now());
            Poll::Ready(Ok(len))
        })
        .await
    }

    /// Writes what is queued until the connection ends; `sent` hears of each whole message.
    pub(super) async fn write_all(&self, sent: impl Fn()) {
        // Octets of the first message that were written.
        let mut done = 0;
        let result = futures_lite::future::poll_fn(|cx| self.poll_write(cx, &mut done, &sent)).await;
        if result.is_err() || self.finishing.get() {
            self.abort();
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, done: &mut usize, sent: &impl Fn()) -> Poll<io::Result<()>> {
        loop {
            if self.closed.get() {
                return Poll::Ready(Ok(()));
            }
            let mut queue = self.queue.borrow_mut();
            let Some(first) = queue.front() else {
                if self.finishing.get() {
                    return Poll::Ready(Ok(()));
                }
                *self.writer.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            };
            let mut stream = self.stream.borrow_mut();
            let Some(stream) = stream.as_mut() else {
                return Poll::Ready(Ok(()));
            };
            let rest = first.bytes.get(*done..).unwrap_or(&[]);
            if !rest.is_empty() {
                *done += ready!(Pin::new(stream).poll_write(cx, rest))?;
                self.active.set(Instant::now());
            }
            if *done >= first.bytes.len() {
                self.queued.set(self.queued.get().saturating_sub(first.bytes.len()));
                if first.receipt.is_some() {
                    sent();
                }
                queue.pop_front();
                *done = 0;
            }
        }
    }
}
