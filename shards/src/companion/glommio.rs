//! The companion as a glommio executor: accepts, opens, frames, writes.

use super::connection::{Connection, Outgoing, Receipt};
use super::{Companion, Post};
use crate::pool::Buf;
use crate::program::{ConnId, Frame, ListenerId, ShardId, StreamCommand, StreamEvent};
use crate::supervise::LaunchError;
use crate::sys;
use futures_lite::io::AsyncReadExt;
use glommio::net::{TcpListener, TcpStream, UnixStream};
use glommio::timer::sleep;
use glommio::{LocalExecutorBuilder, Placement, spawn_local};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Memory for file I/O that glommio pins for itself; it would pin 10 MiB and more by default.
const IO_MEMORY: usize = 64 << 10;
/// How much one read may take.
const READ: usize = 64 << 10;
/// How often connections are looked at for lateness, while there are any.
const REAP: Duration = Duration::from_secs(1);
/// How long the program has to answer octets that could not be understood.
const LAST_ANSWER: Duration = Duration::from_millis(500);
/// Between two tries when a mailbox is full.
const RETRY: Duration = Duration::from_millis(2);

/// Glommio executors, one for each shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glommio;

impl Companion for Glommio {
    fn describe(&self) -> String {
        "stream transports: glommio executor on the shard's core, lower priority".to_owned()
    }

    fn start(&self, post: Post) -> Result<JoinHandle<()>, LaunchError> {
        let (ready, started) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("streams-{}", post.shard))
            .spawn(move || run(post, &ready))
            .map_err(|error| {
                LaunchError::new(format!(
                    "no thread can be started ({error}): raise the limit of processes"
                ))
            })?;
        match started.recv() {
            Ok(Ok(())) => Ok(thread),
            Ok(Err(error)) => Err(LaunchError::new(format!(
                "the stream executor cannot start ({error}): allow io_uring, and locked memory of 8 MiB (`ulimit -l 8192` or LimitMEMLOCK=8M; it is {} KiB)",
                sys::memory_lock_limit() >> 10
            ))),
            Err(_) => Err(LaunchError::new(
                "the stream executor could not start: its panic is in the log",
            )),
        }
    }
}

fn run(post: Post, ready: &mpsc::Sender<Result<(), String>>) {
    // The packet thread on the same core goes first.
    sys::lower_priority(5);
    let placement = post.core.map_or(Placement::Unbound, Placement::Fixed);
    let executor = LocalExecutorBuilder::new(placement)
        .io_memory(IO_MEMORY)
        .ring_depth(128)
        .preempt_timer(Duration::from_millis(10))
        .make();
    match executor {
        Ok(executor) => {
            let _ = ready.send(Ok(()));
            executor.run(Streams::serve(post));
        }
        Err(error) => {
            let _ = ready.send(Err(error.to_string()));
        }
    }
}

/// The connections of one companion.
struct Streams {
    post: Post,
    connections: RefCell<HashMap<ConnId, Rc<Connection>>>,
    by_peer: RefCell<HashMap<SocketAddr, ConnId>>,
    serial: Cell<u64>,
    reaping: Cell<bool>,
    scratch: RefCell<Vec<u8>>,
    /// Listeners whose accepting task still runs.
    accepting: RefCell<Vec<RawFd>>,
}

impl Streams {
    async fn serve(mut post: Post) {
        let listeners = std::mem::take(&mut post.listeners);
        let bell = post.bell.try_clone();
        let commands = post.commands.clone();
        let streams = Rc::new(Self {
            post,
            connections: RefCell::default(),
            by_peer: RefCell::default(),
            serial: Cell::new(0),
            reaping: Cell::new(false),
            scratch: RefCell::new(vec![0; READ]),
            accepting: RefCell::default(),
        });
        let Ok(bell) = bell else {
            return tracing::error!("no descriptor for the doorbell");
        };
        let mut bell: UnixStream = sys::adopt(OwnedFd::from(bell));
        for (id, listener) in listeners {
            let descriptor = listener.as_raw_fd();
            streams.accepting.borrow_mut().push(descriptor);
            let listener: TcpListener = sys::adopt(OwnedFd::from(listener));
            spawn_local(streams.clone().accept(id, descriptor, listener)).detach();
        }
        let mut octets = [0; 64];
        loop {
            while let Some(command) = commands.pop() {
                streams.command(command);
            }
            if commands.is_stopping() {
                break;
            }
            commands.bell().prepare();
            if commands.is_quiet() && bell.read(&mut octets).await.is_err() {
                sleep(RETRY).await;
            }
            commands.bell().awake();
        }
        streams.end().await;
    }

    /// What is queued may still leave, for a moment.
    async fn end(&self) {
        let limit = Instant::now() + LAST_ANSWER;
        let all: Vec<_> = self.connections.borrow().values().cloned().collect();
        while Instant::now() < limit && !all.iter().all(|connection| connection.is_flushed()) {
            sleep(Duration::from_millis(5)).await;
        }
        for connection in &all {
            connection.abort();
        }
        // Tasks do not end with their executor: each one has to come to its own end, or its
        // socket stays open.
        for &listener in &*self.accepting.borrow() {
            sys::shutdown(listener);
        }
        let are_left = || !self.accepting.borrow().is_empty() || !self.connections.borrow().is_empty();
        while are_left() && Instant::now() < limit {
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn accept(self: Rc<Self>, listener: ListenerId, descriptor: RawFd, socket: TcpListener) {
        loop {
            let stream = match socket.accept().await {
                Ok(stream) => stream,
                Err(_) if self.post.commands.is_stopping() => break,
                Err(error) => {
                    // Mostly a lack of descriptors; the peer waits in the backlog.
                    tracing::warn!(shard = self.post.shard, %error, "a connection cannot be accepted");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(peer) = stream.peer_addr() else { continue };
            let Some(connection) = self.admit(listener, peer) else {
                continue;
            };
            self.post.stats.connections_accepted.add(1);
            connection.open(stream);
            connection.stranger.set(Some(Instant::now()));
            self.clone().attend(connection);
        }
        drop(socket);
        self.accepting.borrow_mut().retain(|&listening| listening != descriptor);
    }

    /// A place in the table, when there is one.
    fn admit(self: &Rc<Self>, listener: ListenerId, peer: SocketAddr) -> Option<Rc<Connection>> {
        let mut connections = self.connections.borrow_mut();
        if connections.len() >= self.post.limits.connections {
            self.post.stats.connections_refused.add(1);
            return None;
        }
        self.serial.set(self.serial.get() + 1);
        let id = ConnId::new(self.post.shard, self.serial.get());
        let connection = Rc::new(Connection::new(id, listener, peer));
        connections.insert(id, connection.clone());
        self.post.stats.connections.set(connections.len() as u64);
        self.by_peer.borrow_mut().insert(peer, id);
        if !self.reaping.replace(true) {
            spawn_local(self.clone().reap()).detach();
        }
        Some(connection)
    }

    /// Starts reading and writing.
    fn attend(self: Rc<Self>, connection: Rc<Connection>) {
        let (streams, writing) = (self.clone(), connection.clone());
        spawn_local(async move {
            writing
                .write_all(|| streams.post.stats.stream_messages_out.add(1))
                .await;
        })
        .detach();
        spawn_local(async move {
            self.read(&connection).await;
            self.remove(&connection);
            self.deliver(self.post.shard, StreamEvent::Closed { conn: connection.id })
                .await;
            self.ring(self.post.shard);
        })
        .detach();
    }

    async fn read(&self, connection: &Connection) {
        let mut pending = Vec::new();
        while connection
            .read(&self.scratch, &mut pending)
            .await
            .is_ok_and(|len| len > 0)
        {
            let mut taken = 0;
            let partial = connection.partial.get();
            loop {
                let rest = pending.get(taken..).unwrap_or(&[]);
                if rest.is_empty() {
                    connection.partial.set(None);
                    break;
                }
                match (self.post.framer)(rest) {
                    Frame::Partial if rest.len() < self.post.limits.message_octets => {
                        // The clock of a message runs from its first octet.
                        let since = partial.filter(|_| taken == 0).unwrap_or_else(Instant::now);
                        connection.partial.set(Some(since));
                        break;
                    }
                    Frame::Message { len } if len > 0 && len <= rest.len() => {
                        connection.stranger.set(None);
                        self.message(connection, &rest[..len]).await;
                        taken += len;
                    }
                    Frame::KeepAlive { len, reply } if len > 0 => {
                        taken += len.min(rest.len());
                        if !reply.is_empty() {
                            let answer = Outgoing {
                                bytes: Buf::copy_of(reply),
                                receipt: None,
                            };
                            let _ = connection.push(answer, self.post.limits.write_queue);
                        }
                    }
                    bad => {
                        let head = if let Frame::Bad { len } = bad {
                            len.min(rest.len())
                        } else {
                            0
                        };
                        self.post.stats.connections_bad.add(1);
                        self.message(connection, &rest[..head]).await;
                        self.ring(self.post.shard);
                        sleep(LAST_ANSWER).await;
                        return;
                    }
                }
            }
            self.ring(self.post.shard);
            pending.drain(..taken);
            if pending.is_empty() && pending.capacity() > 4096 {
                pending = Vec::new(); // a quiet connection holds no memory
            }
            // Reads that never have to wait would keep the executor for one fast peer: the answers, the
            // other connections and the doorbell want their turn.
            glommio::executor().yield_if_needed().await;
        }
    }

    async fn message(&self, connection: &Connection, octets: &[u8]) {
        self.post.stats.stream_messages_in.add(1);
        let (conn, listener, peer) = (connection.id, connection.listener, connection.peer);
        let bytes = Buf::copy_of(octets);
        self.deliver(
            self.post.shard,
            StreamEvent::Message {
                conn,
                listener,
                peer,
                bytes,
            },
        )
        .await;
    }

    /// Leaves an event in a mailbox; while it is full the connection is not read, which slows
    /// the peer down.
    async fn deliver(&self, to: ShardId, mut event: StreamEvent) {
        let Some(mailbox) = self.post.mailboxes.get(usize::from(to)) else {
            return;
        };
        while let Err(back) = mailbox.push(event) {
            mailbox.bell().ring();
            if self.post.commands.is_stopping() {
                return;
            }
            event = back;
            sleep(RETRY).await;
        }
    }

    fn ring(&self, shard: ShardId) {
        if let Some(mailbox) = self.post.mailboxes.get(usize::from(shard)) {
            mailbox.bell().ring();
        }
    }

    /// Tells a shard something from code that cannot wait.
    fn tell(self: &Rc<Self>, to: ShardId, event: StreamEvent) {
        let streams = self.clone();
        spawn_local(async move {
            streams.deliver(to, event).await;
            streams.ring(to);
        })
        .detach();
    }

    fn fail(self: &Rc<Self>, peer: SocketAddr, outgoing: impl IntoIterator<Item = Outgoing>) {
        for Receipt { tag, reply_to } in outgoing.into_iter().filter_map(|outgoing| outgoing.receipt) {
            self.tell(reply_to, StreamEvent::Failed { tag, peer });
        }
    }

    fn remove(self: &Rc<Self>, connection: &Connection) {
        let unsent = connection.close();
        let mut connections = self.connections.borrow_mut();
        connections.remove(&connection.id);
        self.post.stats.connections.set(connections.len() as u64);
        let mut by_peer = self.by_peer.borrow_mut();
        if by_peer.get(&connection.peer) == Some(&connection.id) {
            by_peer.remove(&connection.peer);
        }
        self.fail(connection.peer, unsent);
    }

    fn command(self: &Rc<Self>, command: StreamCommand) {
        let StreamCommand {
            conn,
            listener,
            peer,
            may_open,
            bytes,
            tag,
            reply_to,
        } = command;
        let receipt = Receipt { tag, reply_to };
        let known = {
            let connections = self.connections.borrow();
            let by_peer = self.by_peer.borrow();
            connections
                .get(&conn)
                .or_else(|| connections.get(by_peer.get(&peer)?))
                .cloned()
        };
        if bytes.is_empty() {
            if let Some(connection) = known {
                connection.finish();
            }
            return;
        }
        let outgoing = Outgoing {
            bytes,
            receipt: Some(receipt),
        };
        let (connection, opens) = match known {
            Some(connection) => (connection, false),
            None if may_open => match self.admit(listener, peer) {
                Some(connection) => (connection, true),
                None => return self.fail(peer, [outgoing]),
            },
            None => return self.fail(peer, [outgoing]),
        };
        if let Err(outgoing) = connection.push(outgoing, self.post.limits.write_queue) {
            self.post.stats.connections_choked.add(1);
            self.fail(peer, [outgoing]);
            connection.reset();
        } else if opens {
            spawn_local(self.clone().open(connection, reply_to)).detach();
        }
    }

    async fn open(self: Rc<Self>, connection: Rc<Connection>, reply_to: ShardId) {
        match TcpStream::connect_timeout(connection.peer, self.post.limits.connect).await {
            Ok(stream) => {
                self.post.stats.connections_opened.add(1);
                connection.open(stream);
                let (conn, peer) = (connection.id, connection.peer);
                self.tell(reply_to, StreamEvent::Opened { conn, peer });
                self.attend(connection);
            }
            Err(error) => {
                tracing::debug!(peer = %connection.peer, %error, "a connection cannot be opened");
                self.post.stats.connections_failed.add(1);
                self.remove(&connection);
            }
        }
    }

    /// Closes connections that are late; ends when there are none.
    async fn reap(self: Rc<Self>) {
        loop {
            sleep(REAP.min(self.post.limits.message)).await;
            let connections = self.connections.borrow();
            if connections.is_empty() {
                self.reaping.set(false);
                return;
            }
            let now = Instant::now();
            for connection in connections.values().filter(|connection| connection.is_open()) {
                let is_past = |since: Instant, limit| now.saturating_duration_since(since) > limit;
                let is_late =
                    |since: Option<Instant>| since.is_some_and(|since| is_past(since, self.post.limits.message));
                if is_late(connection.partial.get()) || is_late(connection.stranger.get()) {
                    self.post.stats.connections_slow.add(1);
                    connection.abort();
                } else if is_past(connection.active.get(), self.post.limits.idle) {
                    self.post.stats.connections_idle.add(1);
                    connection.abort();
                }
            }
        }
    }
}
