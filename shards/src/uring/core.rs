//! One packet thread's kernel side: ring, buffers, sockets. It outlives the program, so that a
//! panic of the program costs neither sockets nor the datagrams in them.
#![allow(unsafe_code)]

use super::BATCH;
use super::log::Log;
use super::receive::{CONTROL, MEDIA_GROUP, NAME, SIGNAL_GROUP, Stamps};
use super::ring::{Kind, Ring};
use crate::media::{MediaSlice, Slot};
use crate::outbox::{Outbox, Target};
use crate::program::{OpenError, ShardId};
use crate::stats::LoopStats;
use crate::supervise::{LaunchError, Plan};
use crate::sys;
use crate::xdp::{Gate, Lane};
use io_uring::types::{CancelBuilder, Fd, Fixed, Timespec};
use io_uring::{cqueue, opcode};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

pub(super) struct Core {
    pub(super) ring: Ring,
    pub(super) log: Log,
    pub(super) stats: Arc<LoopStats>,
    pub(super) batch: Vec<cqueue::Entry>,
    /// The next completion of `batch` to handle.
    pub(super) cursor: usize,
    pub(super) slice: Option<MediaSlice>,
    pub(super) describe: Vec<String>,
    plain: Box<libc::msghdr>,
    stamped: Box<libc::msghdr>,
    listeners: Vec<Option<Arc<OwnedFd>>>,
    open: Vec<bool>,
    /// The only peer of each open media socket that has one.
    peers: Vec<Option<SocketAddr>>,
    opened: u64,
    stamps: Stamps,
    /// Media sockets are read on demand.
    fetched: bool,
    bell: RawFd,
    pub(super) lanes: Vec<Lane>,
}

impl Core {
    pub(super) fn new(
        plan: &Plan,
        slice: Option<MediaSlice>,
        listeners: &[Option<Arc<OwnedFd>>],
        bell: RawFd,
        stats: Arc<LoopStats>,
        outbox: &Outbox,
        (shard, gates): (ShardId, &[Arc<Gate>]),
    ) -> Result<Self, LaunchError> {
        let completions = (u32::from(plan.media_buffers) + u32::from(plan.signal_buffers)).max(1024) * 2;
        let ring = Ring::new(plan.allow, completions.min(1 << 16))?;
        // SAFETY: zeros are a valid empty msghdr.
        let mut plain: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        plain.msg_namelen = NAME as u32;
        let mut stamped = plain.clone();
        stamped.msg_controllen = CONTROL as _;
        let mut core = Self {
            ring,
            log: Log::new(outbox),
            stats,
            batch: Vec::with_capacity(BATCH),
            cursor: 0,
            slice,
            describe: Vec::new(),
            plain,
            stamped,
            listeners: listeners.to_vec(),
            open: Vec::new(),
            peers: Vec::new(),
            opened: 0,
            stamps: Stamps::new(plan.arrival_times),
            fetched: plan.fetched_media,
            bell,
            lanes: Vec::new(),
        };
        let wanted = core.slice.as_ref().map_or(0, MediaSlice::slots);
        core.make_table(wanted)?;
        core.describe_ring();
        core.open_lanes(shard, gates)?;
        Ok(core)
    }

    /// Whether there are datagram listeners, and whether there are media slots.
    pub(super) fn receives(&self) -> (bool, bool) {
        (self.listeners.iter().any(Option::is_some), !self.open.is_empty())
    }

    /// Starts to receive on the listeners and the doorbell, once there are buffers.
    pub(super) fn arm_all(&mut self) -> Result<(), LaunchError> {
        self.arm_bell();
        self.arm_lanes();
        for index in 0..self.listeners.len() {
            let Some(fd) = &self.listeners[index] else { continue };
            self.ring.place(index as u32, fd.as_raw_fd()).map_err(|error| {
                LaunchError::new(format!(
                    "a listener cannot be registered with the ring ({error}): raise RLIMIT_NOFILE"
                ))
            })?;
            self.arm(Kind::ListenerReceive, index as u32);
        }
        Ok(())
    }

    /// The table of direct descriptors: listeners first, then one place for each media slot.
    /// Takes the largest table that the machine gives and lowers the slots to it.
    fn make_table(&mut self, wanted: u32) -> Result<(), LaunchError> {
        let fixed = self.listeners.len() as u32;
        let mut slots = wanted;
        loop {
            match self.ring.io.submitter().register_files_sparse((fixed + slots).max(1)) {
                Ok(()) => break,
                Err(error) if slots >= 4 => {
                    let limit = u32::try_from(sys::raise_file_limit()).unwrap_or(u32::MAX);
                    let less = if slots + fixed > limit {
                        limit.saturating_sub(fixed)
                    } else {
                        slots / 2
                    };
                    tracing::debug!(%error, slots, less, "table of direct descriptors");
                    slots = less.max(2);
                }
                Err(error) => {
                    return Err(LaunchError::new(format!(
                        "no table of direct descriptors can be had ({error}): raise RLIMIT_NOFILE with `ulimit -n` or LimitNOFILE="
                    )));
                }
            }
        }
        if let Some(slice) = &mut self.slice
            && slots < wanted
        {
            let addresses = u32::try_from(slice.addresses.len()).unwrap_or(1).max(1);
            slice.ports = slots / addresses / 2 * 2;
            self.describe.push(format!(
                "media ports lowered from {wanted} to {}: the limit of open files is {}; raise it with `ulimit -n {}` or LimitNOFILE={}",
                slice.slots(),
                sys::raise_file_limit(),
                fixed + wanted,
                fixed + wanted,
            ));
        }
        let slots = self.slice.as_ref().map_or(0, MediaSlice::slots) as usize;
        self.open = vec![false; slots];
        self.peers = vec![None; slots];
        Ok(())
    }

    fn describe_ring(&mut self) {
        let features = self.ring.features;
        self.describe.push(format!(
            "packet ring: io_uring, {}, multishot receive into provided buffers, {} direct descriptors, {}",
            if features.defer_taskrun {
                "deferred task work"
            } else {
                "cooperative task work (no DEFER_TASKRUN before Linux 6.1, or not allowed)"
            },
            self.listeners.len() + self.open.len(),
            if features.send_address {
                "SEND with address"
            } else {
                "SENDMSG (SEND takes no address before Linux 6.1, or not allowed)"
            },
        ));
        self.describe.push(if features.min_wait {
            "wake-ups: gathered under load with min_wait_usec".to_owned()
        } else {
            "wake-ups: one for each packet when not saturated (no min_wait_usec before Linux 6.12, or not allowed)"
                .to_owned()
        });
    }

    pub(super) fn arm_bell(&mut self) {
        let entry = opcode::PollAdd::new(Fd(self.bell), libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(Kind::Bell.tag(0));
        // SAFETY: no memory is involved; the supervisor keeps the eventfd longer than the ring.
        unsafe { self.ring.push(&entry) };
    }

    /// Starts (again) the endless receive of a socket. On demand, it takes what waits there and ends with
    /// EAGAIN.
    pub(super) fn arm(&mut self, kind: Kind, index: u32) {
        let (socket, group, header) = match kind {
            Kind::ListenerReceive if self.stamps.everywhere() => (index, SIGNAL_GROUP, &self.stamped),
            Kind::ListenerReceive => (index, SIGNAL_GROUP, &self.plain),
            _ if self.stamps.on(index) => (self.socket_of(Slot(index)), MEDIA_GROUP, &self.stamped),
            _ => (self.socket_of(Slot(index)), MEDIA_GROUP, &self.plain),
        };
        let flags = if kind == Kind::MediaReceive && self.fetched {
            libc::MSG_DONTWAIT as u32
        } else {
            0
        };
        let entry = opcode::RecvMsgMulti::new(Fixed(socket), &raw const **header, group)
            .flags(flags)
            .build()
            .user_data(kind.tag(index));
        // SAFETY: the header is boxed in `self`, which outlives the ring's requests (`Drop`).
        unsafe { self.ring.push(&entry) };
    }

    /// Whether media is read on demand.
    pub(super) fn fetches(&self) -> bool {
        self.fetched
    }

    fn socket_of(&self, slot: Slot) -> u32 {
        self.listeners.len() as u32 + slot.0
    }

    /// [`crate::Host::open_media`].
    pub(super) fn open_media(&mut self, slot: Slot) -> Result<(), OpenError> {
        if self.is_open(slot) {
            // Somebody new uses the port.
            self.point_media(slot, None);
            for lane in &mut self.lanes {
                lane.forget(slot);
            }
            return Ok(());
        }
        let address = self.slice.as_ref().and_then(|slice| slice.address(slot));
        let (Some(address), Some(_)) = (address, self.open.get(slot.0 as usize)) else {
            return Err(OpenError::Exhausted);
        };
        let fd = sys::media_socket(address, self.stamps.on(slot.0)).map_err(|error| match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS) => OpenError::Exhausted,
            _ => OpenError::InUse,
        })?;
        // The table keeps the socket open; the ordinary descriptor goes at the end of this block.
        self.ring
            .place(self.socket_of(slot), fd.as_raw_fd())
            .map_err(|_| OpenError::Exhausted)?;
        if let Some(open) = self.open.get_mut(slot.0 as usize) {
            *open = true;
        }
        for lane in &mut self.lanes {
            lane.admit(slot);
        }
        self.opened += 1;
        self.stats.media_open.set(self.opened);
        if !self.fetched {
            self.arm(Kind::MediaReceive, slot.0);
        }
        Ok(())
    }

    /// [`crate::Host::point_media`].
    pub(super) fn point_media(&mut self, slot: Slot, peer: Option<SocketAddr>) {
        let socket = self.socket_of(slot);
        let is_open = self.is_open(slot);
        if let Some(known) = self
            .peers
            .get_mut(slot.0 as usize)
            .filter(|known| is_open && **known != peer)
        {
            *known = peer;
            self.ring.point(Kind::MediaPoint, slot.0, socket, peer);
        }
    }

    /// The kernel refused to connect the socket: it goes on as it was.
    pub(super) fn not_pointed(&mut self, slot: Slot) {
        self.stats.receive_errors.add(1);
        if let Some(peer) = self.peers.get_mut(slot.0 as usize) {
            *peer = None;
        }
    }

    /// How to name `to` for a send from `slot`: not at all where the socket is connected to it.
    fn named(&self, slot: Slot, to: SocketAddr) -> Option<SocketAddr> {
        (self.peers.get(slot.0 as usize) != Some(&Some(to))).then_some(to)
    }

    pub(super) fn is_open(&self, slot: Slot) -> bool {
        self.open.get(slot.0 as usize) == Some(&true)
    }

    /// Queues a media packet from `slot` to `to`; false when the slot is not open.
    /// # Safety
    /// `octets` must stay until everything was handed over.
    pub(super) unsafe fn relay(&mut self, octets: &[u8], slot: Slot, to: SocketAddr) -> bool {
        if !self.is_open(slot) {
            self.stats.send_errors.add(1);
            return false;
        }
        if self.send_by_lane(slot, to, octets) {
            return true;
        }
        // SAFETY: as the caller promises.
        unsafe { self.relay_by_socket(octets, slot, to) }
        true
    }

    /// The same from a slot that is open, by its socket.
    /// # Safety
    /// As for [`relay`](Self::relay).
    pub(super) unsafe fn relay_by_socket(&mut self, octets: &[u8], slot: Slot, to: SocketAddr) {
        let (socket, to) = (self.socket_of(slot), self.named(slot, to));
        // SAFETY: as the caller promises.
        unsafe { self.ring.send(Kind::MediaSend, slot.0, socket, octets, to) };
        self.stats.media_out.add(1);
        self.stats.media_octets_out.add(octets.len() as u64);
    }

    /// Queues the outbox's datagrams, and the reading of the slots that it names.
    /// # Safety
    /// The outbox must stay as it is until everything was handed over.
    pub(super) unsafe fn send_all(&mut self, outbox: &Outbox) {
        for datagram in outbox.datagrams() {
            let octets = outbox.octets(datagram);
            let (kind, index, socket, to) = match datagram.target {
                Target::Listener(id, to) => (Kind::ListenerSend, u32::from(id.0), u32::from(id.0), Some(to)),
                Target::Media(slot, to) => (Kind::MediaSend, slot.0, self.socket_of(slot), self.named(slot, to)),
            };
            let known = match datagram.target {
                Target::Listener(id, _) => matches!(self.listeners.get(usize::from(id.0)), Some(Some(_))),
                Target::Media(slot, _) => self.is_open(slot),
            };
            if !known {
                self.stats.send_errors.add(1);
                continue;
            }
            if let Target::Media(slot, to) = datagram.target
                && self.send_by_lane(slot, to, octets)
            {
                continue;
            }
            // SAFETY: as the caller promises.
            unsafe { self.ring.send(kind, index, socket, octets, to) };
            let (count, size) = match kind {
                Kind::ListenerSend => (&self.stats.datagrams_out, &self.stats.octets_out),
                _ => (&self.stats.media_out, &self.stats.media_octets_out),
            };
            count.add(1);
            size.add(octets.len() as u64);
        }
        for slot in outbox.fetches() {
            if self.fetched && self.is_open(*slot) {
                self.arm(Kind::MediaReceive, slot.0);
            }
        }
    }

    /// Takes completions for the next batch.
    pub(super) fn reap(&mut self) -> bool {
        self.ring.reap(&mut self.batch)
    }

    /// Ends every request and takes the sockets out of the table, so that nothing is written
    /// into memory that goes away.
    pub(super) fn quiesce(&mut self) {
        let second = Timespec::new().sec(1);
        self.ring.hand_over();
        let _ = self
            .ring
            .io
            .submitter()
            .register_sync_cancel(Some(second), CancelBuilder::any());
        self.ring.hand_over();
        let _ = self.ring.io.submitter().unregister_files();
        self.log.abandon();
    }
}
