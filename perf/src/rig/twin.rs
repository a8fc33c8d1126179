//! The link between two controllers of third-party call control (`-3pcc`): one TCP connection, in a thread of its
//! own, since commands are few and end otherwise than SIP messages do. Controller A connects, B listens and takes
//! one twin; as in SIPp, both runs end when the link does.

use super::Order;
use crate::engine::twin::{Cutter, MOST_OCTETS};
use crate::scenario::Controller;
use shards::Handle;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Commands that may wait for the twin to take them; a call fails when there are more.
const WAITING: usize = 1024;
/// How long controller A waits for B to accept.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the twin may take none of what it is sent.
const WRITE: Duration = Duration::from_secs(2);
/// How often the thread looks whether the run is over.
const LOOK: Duration = Duration::from_millis(50);
/// How long the end waits for the twin's end: closing with octets unread would lose what the twin has not read.
const LINGER: Duration = Duration::from_millis(300);
/// How soon a full queue of the shard is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// A link that is connected, or listens.
pub struct Link {
    end: End,
    twin: &'static str,
    sender: SyncSender<Vec<u8>>,
    commands: Receiver<Vec<u8>>,
}

enum End {
    Connected(TcpStream),
    Listening(TcpListener),
}

impl Link {
    /// Connects to `address`, or listens there.
    /// # Errors
    /// Nobody listens there, or the port cannot be had.
    pub fn open(controller: Controller, address: SocketAddr) -> io::Result<Self> {
        let (end, twin) = match controller {
            Controller::A => (End::Connected(TcpStream::connect_timeout(&address, CONNECT)?), "B"),
            Controller::B => (End::Listening(TcpListener::bind(address)?), "A"),
        };
        let (sender, commands) = sync_channel(WAITING);
        Ok(Self {
            end,
            twin,
            sender,
            commands,
        })
    }

    /// Takes commands, each with its end, for the twin; they wait until it is connected.
    #[must_use]
    pub fn sender(&self) -> SyncSender<Vec<u8>> {
        self.sender.clone()
    }

    /// Carries commands until the link ends: the twin's go to shard 0.
    /// # Errors
    /// No thread can be started.
    pub fn start(self, handle: Handle<Order>) -> io::Result<RunningLink> {
        let state = Arc::new(State::default());
        let own = state.clone();
        let thread = std::thread::Builder::new().name("twin".into()).spawn(move || {
            let Self {
                end,
                twin,
                sender,
                commands,
            } = self;
            // Those of the shards are left: the writer ends when the last of them does.
            drop(sender);
            let deliver = |command: &[u8]| own.deliver(&handle, command);
            let over = |ended: io::Result<()>| {
                let why = match ended {
                    Ok(()) => format!("controller {twin} has ended"),
                    Err(error) => format!("the link to controller {twin} broke: {error}"),
                };
                let _ = own.over.set(why);
            };
            carry(end, &own.stop, commands, deliver, over);
        })?;
        Ok(RunningLink { state, thread })
    }
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    over: OnceLock<String>,
}

impl State {
    /// Waits while the shard's queue is full: the twin then waits too.
    fn deliver(&self, handle: &Handle<Order>, command: &[u8]) {
        let mut order = Order::Command(command.to_vec());
        while let Err(back) = handle.send(0, order) {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            order = back;
            std::thread::sleep(RETRY);
        }
    }
}

/// A link that carries commands.
pub struct RunningLink {
    state: Arc<State>,
    thread: JoinHandle<()>,
}

impl RunningLink {
    /// Why it ended, once it has.
    #[must_use]
    pub fn over(&self) -> Option<&str> {
        self.state.over.get().map(String::as_str)
    }

    /// Sends what waits, and ends it. The shards have ended, and their senders with them.
    pub fn close(self) {
        self.state.stop.store(true, Ordering::Relaxed);
        // A thread that panicked has said so itself.
        let _ = self.thread.join();
    }
}

/// Carries commands until the twin ends, or `stop` is set; then tells `over` why, and comes back when nobody has
/// commands to send any more.
fn carry(
    end: End,
    stop: &AtomicBool,
    commands: Receiver<Vec<u8>>,
    deliver: impl FnMut(&[u8]),
    over: impl FnOnce(io::Result<()>),
) {
    let stream = match connected(end, stop) {
        Ok(Some(stream)) => stream,
        Ok(None) => return,
        Err(error) => return over(Err(error)),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| write(&stream, commands));
        over(read(&stream, stop, deliver));
    });
}

/// The twin's connection; `None` when the run ends before one comes.
fn connected(end: End, stop: &AtomicBool) -> io::Result<Option<TcpStream>> {
    let stream = match end {
        End::Connected(stream) => Some(stream),
        End::Listening(listener) => accept(&listener, stop)?,
    };
    if let Some(stream) = &stream {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(WRITE))?;
    }
    Ok(stream)
}

/// The first twin; there is no second one, since the listener is closed then.
fn accept(listener: &TcpListener, stop: &AtomicBool) -> io::Result<Option<TcpStream>> {
    listener.set_nonblocking(true)?;
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(Some(stream));
            }
            Err(error) if is_wait(&error) => std::thread::sleep(LOOK),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn write(mut stream: &TcpStream, commands: Receiver<Vec<u8>>) {
    while let Ok(command) = commands.recv() {
        if stream.write_all(&command).is_err() {
            // The reader sees the end and says so.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

fn read(mut stream: &TcpStream, stop: &AtomicBool, mut deliver: impl FnMut(&[u8])) -> io::Result<()> {
    let (mut cutter, mut octets) = (Cutter::default(), [0; 16_384]);
    let mut until: Option<Instant> = None;
    loop {
        if stop.load(Ordering::Relaxed) {
            let until = *until.get_or_insert_with(|| Instant::now() + LINGER);
            if Instant::now() >= until {
                return Ok(());
            }
        }
        match stream.read(&mut octets) {
            Ok(0) => return Ok(()),
            Ok(length) => cutter.feed(&octets[..length], &mut deliver).map_err(|_| {
                let _ = stream.shutdown(Shutdown::Both);
                io::Error::other(format!("a command is longer than {MOST_OCTETS} octets"))
            })?,
            Err(error) if is_wait(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meet(octets: &[u8]) -> (io::Result<()>, Vec<Vec<u8>>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut twin = TcpStream::connect(listener.local_addr().expect("bound")).expect("listens");
        let (sender, commands) = sync_channel(1);
        sender.send(b"Call-ID: 1\x1b".to_vec()).expect("room");
        drop(sender);
        let (stop, ended) = (AtomicBool::new(false), OnceLock::new());
        let (mut all, mut sent) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let deliver = |command: &[u8]| all.push(command.to_vec());
                carry(End::Listening(listener), &stop, commands, deliver, |result| {
                    let _ = ended.set(result);
                });
            });
            // The link may refuse the rest.
            let _ = twin.write_all(octets);
            let _ = twin.shutdown(Shutdown::Write);
            let _ = twin.read_to_end(&mut sent);
        });
        (ended.into_inner().expect("it ended"), all, sent)
    }

    #[test]
    fn commands_go_both_ways_until_the_twin_ends() {
        let (ended, all, sent) = meet(b"one\x1btwo\x1bhalf");
        assert!(ended.is_ok());
        assert_eq!(all, [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(sent, b"Call-ID: 1\x1b");
    }

    #[test]
    fn a_twin_without_an_end_is_cut_off() {
        let (ended, all, _) = meet(&vec![b'x'; 4 * MOST_OCTETS]);
        let error = ended.expect_err("too long").to_string();
        assert!(error.contains("longer than 65536 octets") && all.is_empty(), "{error}");
    }

    #[test]
    fn nobody_listens() {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        assert!(Link::open(Controller::A, address.expect("a port")).is_err());
    }
}
