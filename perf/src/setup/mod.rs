//! How calls come to be: each way takes two local sockets a call and finds the relay's address
//! for each leg.

pub mod ng;
pub mod sip;

use crate::load::{Leg, leg_socket};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// The two local sockets of a call, A first.
pub type Pair = [UdpSocket; 2];
/// The relay's addresses for A and B; `None` when the call could not be set up.
pub type Relays = Vec<Option<[SocketAddr; 2]>>;

/// Opens the sockets of `calls` calls on ports that the system chooses.
/// # Errors
/// Too few descriptors: raise `ulimit -n`.
pub fn open_pairs(ip: IpAddr, calls: u32) -> io::Result<Vec<Pair>> {
    let any = SocketAddr::new(ip, 0);
    (0..calls).map(|_| Ok([leg_socket(any)?, leg_socket(any)?])).collect()
}

/// Addresses from a file: a line a call, leg A's relay address and leg B's.
/// # Errors
/// When the file cannot be read or a line is not two addresses.
pub fn direct(path: &str) -> io::Result<Relays> {
    std::fs::read_to_string(path)?
        .lines()
        .map(|line| {
            let mut words = line.split_ascii_whitespace().map(str::parse);
            match (words.next(), words.next()) {
                (Some(Ok(a)), Some(Ok(b))) => Ok(Some([a, b])),
                _ => Err(io::Error::other(format!("{path}: `{line}` is not two addresses"))),
            }
        })
        .collect()
}

/// Joins sockets and relay addresses; calls without a relay are left out.
#[must_use]
pub fn join(pairs: Vec<Pair>, relays: &Relays) -> Vec<(u32, [Leg; 2])> {
    let joined = pairs.into_iter().zip(relays).enumerate();
    joined
        .filter_map(|(call, ([a, b], relay))| {
            let [relay_a, relay_b] = (*relay)?;
            Some((
                call as u32,
                [
                    Leg {
                        socket: a,
                        relay: relay_a,
                    },
                    Leg {
                        socket: b,
                        relay: relay_b,
                    },
                ],
            ))
        })
        .collect()
}

/// Spreads `per_second` events evenly.
pub struct Pacer {
    start: Instant,
    done: u32,
    per_second: u32,
}

impl Pacer {
    /// Starts now.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self {
            start: Instant::now(),
            done: 0,
            per_second: per_second.max(1),
        }
    }

    /// True when the next event is due; the event counts as done then.
    pub fn due(&mut self) -> bool {
        let due = self.start + Duration::from_secs_f64(f64::from(self.done) / f64::from(self.per_second));
        let yes = Instant::now() >= due;
        self.done += u32::from(yes);
        yes
    }

    /// Sleeps until the next event is due.
    pub fn wait(&mut self) {
        while !self.due() {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}
