//! The floor without a ring: one thread, one system call to receive and one to send, or batches.

use crate::mark::PACKET_OCTETS;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use nix::time::{ClockId, clock_gettime};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Packets that wait in each socket when the saturated relay looks at it.
const BURST: usize = 16;

fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Relays `calls` calls until the process is ended, looking at its sockets once in `wait`.
/// # Errors
/// When sockets or epoll cannot be had.
pub fn serve(
    calls: u32,
    wait: Duration,
    announce: impl FnOnce(&[[SocketAddr; 2]]) -> io::Result<()>,
) -> io::Result<()> {
    let sockets: Vec<UdpSocket> = (0..calls * 2).map(|_| socket()).collect::<io::Result<_>>()?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (index, socket) in sockets.iter().enumerate() {
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
    }
    let pairs = sockets
        .chunks_exact(2)
        .map(|legs| Ok([legs[0].local_addr()?, legs[1].local_addr()?]));
    announce(&pairs.collect::<io::Result<Vec<_>>>()?)?;
    let mut peers: Vec<Option<SocketAddr>> = vec![None; sockets.len()];
    let mut events = vec![EpollEvent::empty(); 1024];
    let mut packet = [0; 2048];
    loop {
        let ready = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..ready] {
            let index = event.data() as usize;
            let Ok((length, from)) = sockets[index].recv_from(&mut packet) else {
                continue;
            };
            peers[index] = Some(from);
            if let Some(to) = peers[index ^ 1] {
                // A full buffer loses the packet, as everywhere.
                let _ = sockets[index ^ 1].send_to(&packet[..length], to);
            }
        }
        std::thread::sleep(wait);
    }
}

/// CPU nanoseconds of this thread a packet, when packets always wait: (single calls, batches).
/// Only receiving and sending are counted; filling and emptying by the load are not.
/// # Errors
/// When a socket fails.
pub fn saturated(calls: u32, packets: u64) -> io::Result<(f64, f64)> {
    let world = World::new(calls)?;
    let _warm = world.measure(packets / 10, World::relay_one_by_one)?;
    Ok((
        world.measure(packets, World::relay_one_by_one)?,
        world.measure(packets, World::relay_in_batches)?,
    ))
}

/// The load's socket, the relay's sockets (in and out alternating) and the sink.
struct World {
    load: UdpSocket,
    relay: Vec<UdpSocket>,
    sink: Vec<UdpSocket>,
}

impl World {
    fn new(calls: u32) -> io::Result<Self> {
        let many = |count| (0..count).map(|_| socket()).collect::<io::Result<Vec<_>>>();
        Ok(Self {
            load: socket()?,
            relay: many(calls * 2)?,
            sink: many(calls)?,
        })
    }

    fn measure(&self, packets: u64, relay: fn(&Self, usize) -> io::Result<usize>) -> io::Result<f64> {
        let (mut done, mut spent) = (0, 0);
        while done < packets {
            for leg in self.relay.iter().step_by(2) {
                let to = leg.local_addr()?;
                for _ in 0..BURST {
                    self.load.send_to(&[0x80; PACKET_OCTETS], to)?;
                }
            }
            let before = thread_ns()?;
            let mut relayed = 0;
            for call in 0..self.sink.len() {
                relayed += relay(self, call)?;
            }
            spent += thread_ns()? - before;
            if relayed != self.sink.len() * BURST {
                return Err(io::Error::other(format!(
                    "{relayed} packets relayed of {}",
                    self.sink.len() * BURST
                )));
            }
            done += relayed as u64;
            let mut packet = [0; 2048];
            for sink in &self.sink {
                while sink.recv(&mut packet).is_ok() {}
            }
        }
        Ok(spent as f64 / done as f64)
    }

    fn relay_one_by_one(&self, call: usize) -> io::Result<usize> {
        let to = self.sink[call].local_addr()?;
        let mut packet = [0; 2048];
        for _ in 0..BURST {
            let (length, _) = self.relay[2 * call].recv_from(&mut packet)?;
            self.relay[2 * call + 1].send_to(&packet[..length], to)?;
        }
        Ok(BURST)
    }

    fn relay_in_batches(&self, call: usize) -> io::Result<usize> {
        let SocketAddr::V4(to) = self.sink[call].local_addr()? else {
            return Ok(0);
        };
        let mut memory = [[0u8; PACKET_OCTETS]; BURST];
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BURST, None);
        let received = {
            let mut slices: Vec<[IoSliceMut<'_>; 1]> = memory.iter_mut().map(|one| [IoSliceMut::new(one)]).collect();
            let fd = self.relay[2 * call].as_raw_fd();
            recvmmsg(fd, &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?.count()
        };
        let slices: Vec<[IoSlice<'_>; 1]> = memory[..received].iter().map(|one| [IoSlice::new(one)]).collect();
        let addresses = vec![Some(SockaddrIn::from(to)); received];
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(received, None);
        let fd = self.relay[2 * call + 1].as_raw_fd();
        Ok(sendmmsg(fd, &mut headers, &slices, addresses, [], MsgFlags::MSG_DONTWAIT)?.count())
    }
}

fn thread_ns() -> io::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_is_relayed_by_both_ways() {
        let world = World::new(3).unwrap();
        assert!(world.measure(48, World::relay_one_by_one).unwrap() > 0.0);
        assert!(world.measure(48, World::relay_in_batches).unwrap() > 0.0);
    }
}
