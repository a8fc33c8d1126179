//! Calls through rtpengine: its ng control protocol, a cookie and a bencoded dictionary over UDP.

use super::{Pacer, Pair, Relays};
use crate::{bencode, siptext};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// An ng client.
pub struct Ng {
    socket: UdpSocket,
    run: u32,
    cookie: u32,
}

impl Ng {
    /// Speaks to rtpengine's `--listen-ng` address.
    /// # Errors
    /// When no socket can be had.
    pub fn new(server: SocketAddr, run: u32) -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(Self { socket, run, cookie: 0 })
    }

    /// Offer and answer for every pair.
    /// # Errors
    /// When the socket fails; a refused call is a `None` in the result.
    pub fn establish(&mut self, pairs: &[Pair], per_second: u32) -> io::Result<Relays> {
        let mut pacer = Pacer::new(per_second);
        let mut relays = Vec::with_capacity(pairs.len());
        for (call, [a, b]) in pairs.iter().enumerate() {
            pacer.wait();
            let (a, b) = (a.local_addr()?, b.local_addr()?);
            // The offer's answer shows B where to send; the answer's answer shows A.
            let for_b = self.exchange(call, "offer", a)?;
            let for_a = if for_b.is_some() {
                self.exchange(call, "answer", b)?
            } else {
                None
            };
            relays.push(for_a.zip(for_b).map(|(a, b)| [a, b]));
        }
        Ok(relays)
    }

    /// Ends the calls.
    /// # Errors
    /// When the socket fails.
    pub fn hang_up(&mut self, calls: usize, per_second: u32) -> io::Result<()> {
        let mut pacer = Pacer::new(per_second);
        for call in 0..calls {
            pacer.wait();
            let id = self.call_id(call);
            self.ask(&[("call-id", &id), ("command", "delete"), ("from-tag", "a")])?;
        }
        Ok(())
    }

    fn call_id(&self, call: usize) -> String {
        format!("rtpload-{}-{call}", self.run)
    }

    fn exchange(&mut self, call: usize, command: &str, local: SocketAddr) -> io::Result<Option<SocketAddr>> {
        let (id, sdp) = (self.call_id(call), siptext::sdp(local));
        let mut entries = vec![
            ("ICE", "remove"),
            ("call-id", id.as_str()),
            ("command", command),
            ("from-tag", "a"),
            ("sdp", &sdp),
        ];
        if command == "answer" {
            entries.push(("to-tag", "b"));
        }
        let Some(answer) = self.ask(&entries)? else {
            return Ok(None);
        };
        let sdp = bencode::find(&answer, "sdp").and_then(|sdp| std::str::from_utf8(sdp).ok());
        Ok(sdp.and_then(siptext::sdp_audio))
    }

    /// Asks at most three times.
    fn ask(&mut self, entries: &[(&str, &str)]) -> io::Result<Option<Vec<u8>>> {
        self.cookie += 1;
        let cookie = format!("{}_{} ", self.run, self.cookie);
        let mut message = cookie.clone().into_bytes();
        bencode::dictionary(&mut message, entries);
        let mut buffer = vec![0; 65_536];
        for _ in 0..3 {
            self.socket.send(&message)?;
            while let Ok(length) = self.socket.recv(&mut buffer) {
                if let Some(answer) = buffer.get(..length).and_then(|all| all.strip_prefix(cookie.as_bytes())) {
                    return Ok(Some(answer.to_vec()));
                }
            }
        }
        Ok(None)
    }
}
