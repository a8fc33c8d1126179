//! Paced RTP streams: every stream sends one packet each 20 ms, all streams spread evenly over
//! that interval, and every packet that comes back is judged by the mark that it carries.
//!
//! Receive times are the kernel's (`SO_TIMESTAMPNS`), so the load may look at its sockets rarely
//! without spoiling the latency.

use crate::mark::{INTERVAL, Mark, PACKET_OCTETS};
use crate::report::Report;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// One leg of a call.
pub struct Leg {
    /// Our socket.
    pub socket: UdpSocket,
    /// Where the relay listens for this leg, and the only address it may send from.
    pub relay: SocketAddr,
}

/// How long and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Identifies this run in the packets.
    pub run: u32,
    /// Packets of each stream that are sent before the measured window (latching).
    pub warm_up: u32,
    /// Packets of each stream in the measured window.
    pub measured: u32,
    /// Longest sleep between two looks at the clock.
    pub tick: Duration,
}

/// Where the run is, for the thread that reads the server's CPU time.
pub static PHASE: AtomicU32 = AtomicU32::new(0);
/// Warm-up is over.
pub const PHASE_MEASURING: u32 = 1;
/// The last measured packet was sent.
pub const PHASE_DRAINING: u32 = 2;

struct Stream {
    number: u32,
    leg: Leg,
    seen: Vec<u64>,
}

/// Makes a leg's socket: nonblocking, with kernel receive timestamps.
/// # Errors
/// When no socket can be had.
pub fn leg_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(socket)
}

/// Runs the streams of some calls (`(call number, legs)`) to the end.
/// # Errors
/// When the kernel refuses epoll.
pub fn run(calls: Vec<(u32, [Leg; 2])>, pace: Pace, start: Instant) -> io::Result<Report> {
    let mut load = Load::new(calls, pace)?;
    let each = INTERVAL.as_nanos() as u64 / (load.streams.len() as u64).max(1);
    let total = u64::from(pace.warm_up + pace.measured) * load.streams.len() as u64;
    let measured_from = u64::from(pace.warm_up) * load.streams.len() as u64;
    let mut next = 0;
    while next < total {
        let elapsed = Instant::now().saturating_duration_since(start).as_nanos() as u64;
        while next < total && next * each <= elapsed {
            if next == measured_from {
                PHASE.fetch_max(PHASE_MEASURING, Ordering::Relaxed);
            }
            load.send(next, elapsed - next * each);
            next += 1;
        }
        load.drain()?;
        let now = Instant::now().saturating_duration_since(start).as_nanos() as u64;
        let due = (next * each).max(elapsed + pace.tick.as_nanos() as u64);
        std::thread::sleep(Duration::from_nanos(due.saturating_sub(now)));
    }
    PHASE.fetch_max(PHASE_DRAINING, Ordering::Relaxed);
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        load.drain()?;
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(load.report)
}

struct Load {
    streams: Vec<Stream>,
    pace: Pace,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    control: Vec<u8>,
    report: Report,
}

impl Load {
    fn new(calls: Vec<(u32, [Leg; 2])>, pace: Pace) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let words = (pace.measured as usize).div_ceil(64);
        let mut streams = Vec::with_capacity(calls.len() * 2);
        for (call, legs) in calls {
            for (side, leg) in legs.into_iter().enumerate() {
                epoll.add(&leg.socket, EpollEvent::new(EpollFlags::EPOLLIN, streams.len() as u64))?;
                streams.push(Stream {
                    number: call * 2 + side as u32,
                    leg,
                    seen: vec![0; words],
                });
            }
        }
        Ok(Self {
            events: vec![EpollEvent::empty(); 1024],
            control: nix::cmsg_space!(nix::sys::time::TimeSpec),
            report: Report::new(),
            streams,
            pace,
            epoll,
        })
    }

    /// Sends packet `next` of the cyclic order over all streams.
    fn send(&mut self, next: u64, late_ns: u64) {
        let count = self.streams.len() as u64;
        let Some(stream) = self.streams.get((next % count) as usize) else {
            return;
        };
        let number = (next / count) as u32;
        let mut packet = [0; PACKET_OCTETS];
        Mark {
            run: self.pace.run,
            stream: stream.number,
            number,
            sent_ns: realtime_ns(),
        }
        .write(&mut packet);
        let sent = stream.leg.socket.send_to(&packet, stream.leg.relay);
        if number >= self.pace.warm_up {
            self.report.sent += 1;
            self.report.send_errors += u64::from(sent.is_err());
            self.report.lateness.saturating_record(late_ns);
        }
    }

    /// Takes everything that has arrived.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            let ready = self.epoll.wait(&mut self.events, EpollTimeout::ZERO)?;
            for index in 0..ready {
                let stream = self.events[index].data() as usize;
                self.receive(stream);
            }
            if ready < self.events.len() {
                return Ok(());
            }
        }
    }

    fn receive(&mut self, index: usize) {
        let Some(stream) = self.streams.get_mut(index) else {
            return;
        };
        let mut packet = [0u8; 2048];
        // A socket holds one packet here as a rule: the rest is reported again by epoll.
        let mut slices = [IoSliceMut::new(&mut packet)];
        let received = recvmsg::<SockaddrIn>(
            stream.leg.socket.as_raw_fd(),
            &mut slices,
            Some(&mut self.control),
            MsgFlags::MSG_DONTWAIT,
        );
        let Ok(received) = received else { return };
        let arrived_ns = received.cmsgs().ok().and_then(|messages| {
            messages.into_iter().find_map(|message| match message {
                ControlMessageOwned::ScmTimestampns(at) => {
                    Some(at.tv_sec() as u64 * 1_000_000_000 + at.tv_nsec() as u64)
                }
                _ => None,
            })
        });
        let from = received.address.map(|from| SocketAddr::V4(SocketAddrV4::from(from)));
        let length = received.bytes;
        let report = &mut self.report;
        if from != Some(stream.leg.relay) {
            report.wrong_source += 1;
        }
        let Some(mark) = Mark::read(packet.get(..length).unwrap_or_default()) else {
            report.damaged += 1;
            return;
        };
        if mark.run != self.pace.run || mark.stream != stream.number ^ 1 {
            report.crosstalk += 1;
            return;
        }
        let Some(number) = mark.number.checked_sub(self.pace.warm_up) else {
            return;
        };
        let Some(word) = stream.seen.get_mut((number / 64) as usize) else {
            return;
        };
        let bit = 1 << (number % 64);
        if *word & bit != 0 {
            report.duplicates += 1;
            return;
        }
        *word |= bit;
        report.received += 1;
        let arrived_ns = arrived_ns.unwrap_or_else(realtime_ns);
        report
            .latency
            .saturating_record(arrived_ns.saturating_sub(mark.sent_ns));
    }
}

fn realtime_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |now| now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Legs that send straight to each other; `wrong` crosses two calls.
    fn legs(calls: u32, wrong: bool) -> Vec<(u32, [Leg; 2])> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let sockets: Vec<UdpSocket> = (0..calls * 2).map(|_| leg_socket(any).unwrap()).collect();
        let address = |index: usize| sockets[index % sockets.len()].local_addr().unwrap();
        let shift = if wrong { 2 } else { 0 };
        let relays: Vec<SocketAddr> = (0..sockets.len()).map(|index| address((index ^ 1) + shift)).collect();
        let mut legs = sockets
            .into_iter()
            .zip(relays)
            .map(|(socket, relay)| Leg { socket, relay });
        (0..calls)
            .map(|call| (call, [legs.next().unwrap(), legs.next().unwrap()]))
            .collect()
    }

    const PACE: Pace = Pace {
        run: 9,
        warm_up: 2,
        measured: 10,
        tick: Duration::from_millis(1),
    };

    #[test]
    fn counts_every_packet_once() {
        let report = run(legs(3, false), PACE, Instant::now()).unwrap();
        assert_eq!((report.sent, report.received, report.lost()), (60, 60, 0));
        assert_eq!((report.crosstalk, report.duplicates, report.damaged), (0, 0, 0));
        assert!(
            report.latency.max() < 1_000_000_000,
            "kernel receive times are near the send times"
        );
    }

    #[test]
    fn sees_packets_of_another_call() {
        let report = run(legs(2, true), PACE, Instant::now()).unwrap();
        assert_eq!(report.received, 0);
        assert_eq!(report.crosstalk, 48);
    }
}
