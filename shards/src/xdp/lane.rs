//! One shard's express lane: which packets may take it, and by which addresses.

use super::LONGEST;
use super::bpf::{Gate, refusal};
use super::frame::{self, HEADERS, LINK};
use super::socket::{Frame, Socket};
use crate::media::{MediaSlice, Slot};
use crate::supervise::LaunchError;
use crate::sys::patiently;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::RawFd;
use std::sync::Arc;

/// How frames get to a peer from one slot: learnt from what came from there.
#[derive(Clone, Copy, Debug)]
struct Way {
    peer: Ipv4Addr,
    link: [u8; LINK],
}

impl Way {
    /// No peer has this address (RFC 1122 section 3.2.1.3).
    const NONE: Way = Way {
        peer: Ipv4Addr::UNSPECIFIED,
        link: [0; LINK],
    };
}

/// One packet that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) slot: Slot,
    pub(crate) from: SocketAddr,
    /// Monotonic nanoseconds of its coming.
    pub(crate) stamp: u64,
    way: Way,
    frame: Frame,
    len: usize,
}

pub(crate) struct Lane {
    socket: Socket,
    slice: MediaSlice,
    /// By slot.
    ways: Vec<Way>,
    /// Frames whose payload a queued send of a media socket still reads.
    held: Vec<Frame>,
    used: bool,
    queue: u32,
    // The socket is taken out of the map before the program goes.
    gate: Arc<Gate>,
}

impl Lane {
    /// The lane of a shard; `None` when the device has no queue for it.
    pub(crate) fn open(gate: &Arc<Gate>, shard: u16, slice: &MediaSlice) -> Result<Option<Self>, LaunchError> {
        let socket = match patiently(libc::EBUSY, || Socket::open(gate, shard.into())) {
            Ok(socket) => socket,
            Err(error) if shard > 0 && error.raw_os_error() == Some(libc::EINVAL) => return Ok(None),
            Err(error) => return Err(LaunchError::new(refusal(gate.name(), "AF_XDP socket", &error))),
        };
        Ok(Some(Self {
            socket,
            ways: vec![Way::NONE; slice.slots() as usize],
            slice: slice.clone(),
            held: Vec::new(),
            used: false,
            queue: shard.into(),
            gate: gate.clone(),
        }))
    }

    /// For the start: what this is.
    pub(crate) fn describe(&self) -> String {
        let how = if self.socket.copies_nothing() {
            "without copies"
        } else {
            "one copy each way, since the driver offers no more"
        };
        format!("media: AF_XDP at {} ({how}) beside the sockets", self.gate.name())
    }

    /// Readable when a frame came.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.socket.descriptor()
    }

    /// Frames dropped for want of room, so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.socket.dropped()
    }

    fn slot_of(&self, to: SocketAddrV4) -> Option<Slot> {
        let at = self.slice.addresses.iter().position(|address| *address == *to.ip())?;
        let port = u32::from(to.port()).checked_sub(self.slice.first.into())?;
        (port < self.slice.ports).then(|| Slot(at as u32 * self.slice.ports + port))
    }

    /// The next packet. It is to be [forwarded](Self::forward), [held](Self::hold) or [dropped](Self::drop_packet).
    pub(crate) fn next(&mut self) -> Option<Arrival> {
        loop {
            let (frame, stamp) = self.socket.receive()?;
            self.used = true;
            let heard = frame::read(self.socket.octets(frame));
            let Some((heard, slot)) = heard.and_then(|heard| Some((heard, self.slot_of(heard.to)?))) else {
                self.socket.give_back(frame);
                continue;
            };
            let way = Way {
                peer: *heard.from.ip(),
                link: heard.link,
            };
            return Some(Arrival {
                slot,
                from: heard.from.into(),
                way,
                stamp,
                frame,
                len: heard.len,
            });
        }
    }

    /// Whether packets wait that came.
    pub(crate) fn has_more(&mut self) -> bool {
        self.socket.has_received()
    }

    /// The payload of a packet that came.
    pub(crate) fn payload(&mut self, arrival: &Arrival) -> &mut [u8] {
        self.socket
            .octets(arrival.frame)
            .get_mut(HEADERS..HEADERS + arrival.len)
            .unwrap_or_default()
    }

    /// Learns the way to where a packet came from. What the program made use of shows a better one; of
    /// others, which anybody may have sent, only the first counts.
    pub(crate) fn learn(&mut self, arrival: &Arrival, used: bool) {
        if let Some(way) = self.ways.get_mut(arrival.slot.0 as usize)
            && (used || way.peer.is_unspecified())
        {
            *way = arrival.way;
        }
    }

    /// The slot's port is open: from now on its frames come here.
    pub(crate) fn admit(&mut self, slot: Slot) {
        self.steer(slot, Some(self.queue));
    }

    fn steer(&self, slot: Slot, queue: Option<u32>) {
        if let Some(address) = self.slice.address(slot) {
            self.gate
                .steer((slot.0 / self.slice.ports) as usize, address.port(), queue);
        }
    }

    /// Somebody new uses the slot.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if let Some(way) = self.ways.get_mut(slot.0 as usize) {
            *way = Way::NONE;
        }
    }

    /// The addresses of a packet from a slot; `None` where the way is not known, or not here.
    fn way(&self, slot: Slot, to: SocketAddr) -> Option<([u8; LINK], SocketAddrV4, SocketAddrV4)> {
        let (SocketAddr::V4(to), SocketAddr::V4(from)) = (to, self.slice.address(slot)?) else {
            return None;
        };
        let way = self.ways.get(slot.0 as usize)?;
        (way.peer == *to.ip() && !to.ip().is_unspecified()).then_some((way.link, from, to))
    }

    /// Sends a copy of `octets`; false where it has to take the socket.
    pub(crate) fn send(&mut self, slot: Slot, to: SocketAddr, octets: &[u8]) -> bool {
        let Some((link, from, to)) = self.way(slot, to) else {
            return false;
        };
        let len = HEADERS + octets.len();
        if len > LONGEST {
            return false;
        }
        let Some(frame) = self.socket.take(len) else {
            return false;
        };
        let room = self.socket.octets(frame);
        room[HEADERS..].copy_from_slice(octets);
        frame::write(room, &link, from, to, octets.len());
        self.used = true;
        self.socket.send(frame, len)
    }

    /// Sends a packet that came on, in its own frame; false, and the packet is still there, where it has to
    /// take the socket.
    pub(crate) fn forward(&mut self, arrival: &Arrival, slot: Slot, to: SocketAddr) -> bool {
        let Some((link, from, to)) = self.way(slot, to) else {
            return false;
        };
        self.used = true;
        frame::write(self.socket.octets(arrival.frame), &link, from, to, arrival.len);
        // Where there is no room it is lost, as it would be in a full socket.
        self.socket.send(arrival.frame, HEADERS + arrival.len);
        true
    }

    /// Keeps a packet until [`handed_over`](Self::handed_over).
    pub(crate) fn hold(&mut self, arrival: &Arrival) {
        self.held.push(arrival.frame);
    }

    /// The packet is dealt with.
    pub(crate) fn drop_packet(&mut self, arrival: &Arrival) {
        self.socket.give_back(arrival.frame);
    }

    /// What media sockets were given is sent.
    pub(crate) fn handed_over(&mut self) {
        while let Some(frame) = self.held.pop() {
            self.socket.give_back(frame);
        }
    }

    /// At the end of a batch: sends what is queued, and makes room for what comes.
    pub(crate) fn flush(&mut self) {
        if self.used {
            self.used = self.socket.kick();
            self.socket.refill();
        }
    }
}

impl Drop for Lane {
    /// The media sockets go on alone.
    fn drop(&mut self) {
        for slot in 0..self.slice.slots() {
            self.steer(Slot(slot), None);
        }
    }
}
