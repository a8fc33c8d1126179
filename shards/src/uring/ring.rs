//! One io_uring: set-up with the best features that the kernel has, submission, the one blocking
//! call.
#![allow(unsafe_code)]

use super::pace::Wait;
use crate::supervise::{Allow, LaunchError};
use crate::sys::{self, RawAddress};
use io_uring::squeue::Flags;
use io_uring::types::{Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

/// Submissions that fit before they have to be handed over.
const SUBMISSIONS: u32 = 1024;

/// What a completion belongs to; packed into its user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    ListenerReceive = 1,
    MediaReceive,
    ListenerSend,
    MediaSend,
    Bell,
    LogWrite,
    LogSync,
    Probe,
    MediaPoint,
    Lane,
}

impl Kind {
    pub(super) fn tag(self, index: u32) -> u64 {
        (u64::from(self as u8) << 56) | u64::from(index)
    }

    pub(super) fn of(user_data: u64) -> Option<(Kind, u32)> {
        let kind = match user_data >> 56 {
            1 => Kind::ListenerReceive,
            2 => Kind::MediaReceive,
            3 => Kind::ListenerSend,
            4 => Kind::MediaSend,
            5 => Kind::Bell,
            6 => Kind::LogWrite,
            7 => Kind::LogSync,
            8 => Kind::Probe,
            9 => Kind::MediaPoint,
            10 => Kind::Lane,
            _ => return None,
        };
        Some((kind, user_data as u32))
    }
}

/// What this kernel offers and the plan allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    pub(super) defer_taskrun: bool,
    pub(super) min_wait: bool,
    pub(super) send_address: bool,
    no_iowait: bool,
}

/// For kernels that cannot take an address with SEND.
#[derive(Clone, Copy)]
struct Message {
    header: libc::msghdr,
    part: libc::iovec,
}

pub(super) struct Ring {
    pub(super) io: IoUring,
    pub(super) features: Features,
    addresses: Box<[RawAddress]>,
    messages: Box<[Message]>,
    used: usize,
}

impl Ring {
    /// Sets a ring up for completions of `completions` receives at once.
    pub(super) fn new(allow: Allow, completions: u32) -> Result<Self, LaunchError> {
        let base = |builder: &mut io_uring::Builder| {
            builder
                .dontfork()
                .setup_clamp()
                .setup_submit_all()
                .setup_cqsize(completions);
        };
        let deferred = || {
            let mut builder = IoUring::builder();
            base(&mut builder);
            builder.setup_single_issuer().setup_defer_taskrun().build(SUBMISSIONS)
        };
        let cooperative = || {
            let mut builder = IoUring::builder();
            base(&mut builder);
            builder.setup_coop_taskrun().setup_taskrun_flag().build(SUBMISSIONS)
        };
        let (io, defer_taskrun) = match allow.defer_taskrun.then(deferred) {
            Some(Ok(io)) => (io, true),
            Some(Err(error)) if error.raw_os_error() != Some(libc::EINVAL) => return Err(explain(&error)),
            _ => (cooperative().map_err(|error| explain(&error))?, false),
        };
        let features = Features {
            defer_taskrun,
            min_wait: allow.min_wait && io.params().is_feature_min_timeout(),
            send_address: true,
            no_iowait: io.params().is_feature_no_iowait(),
        };
        if !io.params().is_feature_ext_arg() || !io.params().is_feature_skip_cqe_on_success() {
            return Err(LaunchError::new(
                "the kernel's io_uring is too old: run Linux 6.0 or newer (6.12 is best)",
            ));
        }
        let mut ring = Self {
            io,
            features,
            addresses: vec![RawAddress::EMPTY; SUBMISSIONS as usize].into_boxed_slice(),
            messages: Box::new([]),
            used: 0,
        };
        ring.features.send_address = allow.send_address && ring.probe_send().unwrap_or(false);
        if !ring.features.send_address {
            // SAFETY: zeros are a valid empty msghdr and iovec.
            let empty: Message = unsafe { std::mem::zeroed() };
            ring.messages = vec![empty; SUBMISSIONS as usize].into_boxed_slice();
        }
        Ok(ring)
    }

    /// Whether SEND takes an address: sends itself one datagram.
    fn probe_send(&mut self) -> io::Result<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let to = RawAddress::new(socket.local_addr()?);
        let octets = [0u8; 1];
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), octets.as_ptr(), 1)
            .flags(libc::MSG_DONTWAIT)
            .dest_addr(to.pointer())
            .dest_addr_len(to.len())
            .build()
            .user_data(Kind::Probe.tag(0));
        // SAFETY: the send ends within the call below (MSG_DONTWAIT), while `octets` and `to` live.
        unsafe { self.push(&entry) };
        self.io.submit_and_wait(1)?;
        let result = self.io.completion().next().map_or(-1, |completion| completion.result());
        Ok(result == 1)
    }

    /// Queues an entry; hands over what is queued first when there is no room.
    /// # Safety
    /// What the entry points to must live until its completion, or for sends with
    /// MSG_DONTWAIT until the entry was handed over.
    pub(super) unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller's promise is the one that `push` asks for.
        while unsafe { self.io.submission().push(entry) }.is_err() {
            self.hand_over();
        }
    }

    /// Queues the connecting of datagram socket `socket` to `peer`, or its disconnecting. That runs
    /// to its end inside the submission, before the sends queued behind it.
    pub(super) fn point(&mut self, kind: Kind, index: u32, socket: u32, peer: Option<SocketAddr>) {
        let place = self.next_place();
        self.addresses[place] = peer.map_or(RawAddress::UNSPECIFIED, RawAddress::new);
        let address = &self.addresses[place];
        let entry = opcode::Connect::new(Fixed(socket), address.pointer(), address.len())
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(kind.tag(index));
        // SAFETY: the kernel copies the address while it takes the entry; until then it stays, as
        // for `send`.
        unsafe { self.push(&entry) };
    }

    /// A place for an address, kept until everything was handed over. There is room for its entry: were the
    /// queue handed over only when the entry is pushed, places would be counted from the start again while
    /// this one is still to be read, and a later address would take its place.
    fn next_place(&mut self) -> usize {
        if self.used == self.addresses.len() || self.io.submission().is_full() {
            self.hand_over();
        }
        self.used += 1;
        self.used - 1
    }

    /// Queues a datagram from direct descriptor `socket` to `to`; without an address, to the peer that
    /// the socket is connected to.
    /// # Safety
    /// `octets` must stay as they are until the entry was handed over ([`is_handed_over`]).
    ///
    /// [`is_handed_over`]: Self::is_handed_over
    pub(super) unsafe fn send(&mut self, kind: Kind, index: u32, socket: u32, octets: &[u8], to: Option<SocketAddr>) {
        let place = self.next_place();
        self.addresses[place] = to.map_or(RawAddress::EMPTY, RawAddress::new);
        let address = &self.addresses[place];
        let entry = if self.features.send_address || to.is_none() {
            let send = opcode::Send::new(Fixed(socket), octets.as_ptr(), octets.len() as u32).flags(libc::MSG_DONTWAIT);
            match to {
                Some(_) => send.dest_addr(address.pointer()).dest_addr_len(address.len()).build(),
                None => send.build(),
            }
        } else {
            let message = &mut self.messages[place];
            message.part = libc::iovec {
                iov_base: octets.as_ptr().cast_mut().cast(),
                iov_len: octets.len(),
            };
            message.header.msg_name = address.pointer().cast_mut().cast();
            message.header.msg_namelen = address.len();
            message.header.msg_iov = &raw mut message.part;
            message.header.msg_iovlen = 1;
            opcode::SendMsg::new(Fixed(socket), &raw const message.header)
                .flags(libc::MSG_DONTWAIT as u32)
                .build()
        };
        let entry = entry.flags(Flags::SKIP_SUCCESS).user_data(kind.tag(index));
        // SAFETY: the address (and message) at `place` stay until `used` is reset, which happens
        // only once the submission queue is empty; for the octets the caller promises it.
        unsafe { self.push(&entry) };
    }

    /// Whether the kernel has taken every queued entry. A datagram send with MSG_DONTWAIT has
    /// then run to its end: the kernel tries it inside the submission and never queues it.
    pub(super) fn is_handed_over(&mut self) -> bool {
        let empty = self.io.submission().is_empty();
        if empty {
            self.used = 0;
        }
        empty
    }

    /// Submits without waiting, until everything is taken.
    pub(super) fn hand_over(&mut self) {
        loop {
            if let Err(error) = self.enter(Wait::NO) {
                // Nothing can be done but try again; the kernel asks for it (EAGAIN, EBUSY).
                tracing::debug!(%error, "submission");
                std::thread::yield_now();
            }
            if self.is_handed_over() {
                return;
            }
        }
    }

    /// Submits and waits: the loop's blocking point.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        let submit = self.io.submission().len() as u32;
        let mut flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        if self.features.no_iowait {
            flags |= EnterFlags::NO_IOWAIT;
        }
        let span = wait.timeout.map(Timespec::from);
        let mut arguments = SubmitArgs::new();
        if self.features.min_wait && !wait.gather.is_zero() {
            arguments = arguments.min_wait_usec(wait.gather.as_micros() as u32);
        }
        if let (Some(span), true) = (&span, wait.want > 0) {
            arguments = arguments.timespec(span);
        }
        // SAFETY: the arguments are those that EXT_ARG asks for and live through the call;
        // queued entries point to live memory as `push` was promised.
        let result = unsafe {
            self.io
                .submitter()
                .enter(submit, wait.want, flags.bits(), Some(&arguments))
        };
        match result {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Moves completions into `batch` until it is full; whether more may be there.
    pub(super) fn reap(&mut self, batch: &mut Vec<cqueue::Entry>) -> bool {
        let mut queue = self.io.completion();
        while batch.len() < batch.capacity() {
            let Some(completion) = queue.next() else { return false };
            batch.push(completion);
        }
        !queue.is_empty()
    }

    /// Puts a socket into the direct descriptor table (or takes it out with -1).
    pub(super) fn place(&self, index: u32, fd: RawFd) -> io::Result<()> {
        self.io.submitter().register_files_update(index, &[fd]).map(drop)
    }
}

/// Why there is no ring, and what to do.
fn explain(error: &io::Error) -> LaunchError {
    LaunchError::new(match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            "the kernel has no io_uring: run Linux 6.0 or newer built with CONFIG_IO_URING".to_owned()
        }
        Some(libc::EPERM | libc::EACCES) => {
            "io_uring is forbidden here: set sysctl kernel.io_uring_disabled=0, or allow io_uring_setup in the container's seccomp profile".to_owned()
        }
        Some(libc::ENOMEM) => format!(
            "the limit of locked memory (RLIMIT_MEMLOCK, {} KiB) is too low for the packet rings: raise it with `ulimit -l 8192` or LimitMEMLOCK=8M",
            sys::memory_lock_limit() >> 10
        ),
        Some(libc::EMFILE | libc::ENFILE) => {
            "the limit of open files (RLIMIT_NOFILE) is too low for the packet rings: raise it with `ulimit -n` or LimitNOFILE=".to_owned()
        }
        _ => format!("io_uring cannot be set up ({error}): run Linux 6.0 or newer (6.12 is best)"),
    })
}

/// As `explain`, for the memory of receive buffers.
pub(super) fn explain_buffers(error: &io::Error) -> LaunchError {
    match error.raw_os_error() {
        Some(libc::EINVAL) => LaunchError::new(
            "the kernel takes no receive buffer rings: run Linux 6.0 or newer, with buffer counts that are powers of two up to 32768",
        ),
        _ => explain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The claim that buffers of datagram sends are free once the entry was handed over: they
    /// are overwritten at once, and the receiver must still get what was in them before.
    fn sends_end_inside_the_submission(allow: Allow) {
        let mut ring = Ring::new(allow, 1024).expect("a ring");
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        sink.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
        let to = sink.local_addr().expect("bound");
        ring.io.submitter().register_files_sparse(1).expect("a table");
        ring.place(0, sender.as_raw_fd()).expect("placed");
        let mut packets = vec![[0u8; 172]; 50];
        for round in 0..40u8 {
            for (i, packet) in packets.iter_mut().enumerate() {
                packet.fill(round.wrapping_mul(7) ^ i as u8);
                // SAFETY: the packets are left alone until everything was handed over.
                unsafe { ring.send(Kind::MediaSend, 0, 0, packet, Some(to)) };
            }
            ring.hand_over();
            packets.iter_mut().for_each(|packet| packet.fill(0xee));
            for i in 0..packets.len() {
                let mut got = [0; 200];
                assert_eq!(sink.recv(&mut got).expect("a packet"), 172);
                assert!(got[..172].iter().all(|&octet| octet == round.wrapping_mul(7) ^ i as u8));
            }
        }
        let mut batch = Vec::with_capacity(16);
        ring.reap(&mut batch);
        assert!(batch.is_empty(), "successes are silent: {batch:?}");
        // A send that cannot be: one completion with the error.
        // SAFETY: the octets are static.
        unsafe { ring.send(Kind::MediaSend, 5, 0, b"x", Some(SocketAddr::from(([127, 0, 0, 1], 0)))) };
        ring.hand_over();
        ring.reap(&mut batch);
        let [failure] = &batch[..] else {
            panic!("one completion: {batch:?}")
        };
        assert_eq!(Kind::of(failure.user_data()), Some((Kind::MediaSend, 5)));
        assert_eq!(failure.result(), -libc::EINVAL);
    }

    /// A queue that other entries fill is handed over in the middle of sends: each one keeps its address.
    fn sends_keep_their_addresses(allow: Allow) {
        let mut ring = Ring::new(allow, 4096).expect("a ring");
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let sinks: Vec<UdpSocket> = (0..2)
            .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"))
            .collect();
        ring.io.submitter().register_files_sparse(1).expect("a table");
        ring.place(0, sender.as_raw_fd()).expect("placed");
        let nothing = opcode::Nop::new().build().flags(Flags::SKIP_SUCCESS);
        for _ in 0..SUBMISSIONS - 20 {
            // SAFETY: no memory is involved.
            unsafe { ring.push(&nothing) };
        }
        for number in 0..60 {
            let to = sinks[usize::from(number == 20)].local_addr().expect("bound");
            // SAFETY: the octets are static.
            unsafe { ring.send(Kind::MediaSend, 0, 0, b"x", Some(to)) };
        }
        ring.hand_over();
        for (sink, count) in sinks.iter().zip([59, 1]) {
            sink.set_nonblocking(true).expect("set");
            let came = (0..100).take_while(|_| sink.recv(&mut [0; 8]).is_ok()).count();
            assert_eq!(came, count);
        }
    }

    #[test]
    fn addresses_stay_with_their_packets() {
        sends_keep_their_addresses(Allow::default());
        sends_keep_their_addresses(Allow {
            send_address: false,
            ..Allow::default()
        });
    }

    #[test]
    fn send_with_address_ends_inside_the_submission() {
        sends_end_inside_the_submission(Allow::default());
    }

    #[test]
    fn sendmsg_ends_inside_the_submission() {
        sends_end_inside_the_submission(Allow {
            send_address: false,
            defer_taskrun: false,
            ..Allow::default()
        });
    }

    /// A full socket: the send is refused at once instead of being kept for later, so that a
    /// buffer is never read after the submission.
    #[test]
    fn a_full_socket_refuses_at_once() {
        let mut ring = Ring::new(Allow::default(), 1024).expect("a ring");
        let (near, _far) = std::os::unix::net::UnixDatagram::pair().expect("a pair");
        let octets = [7u8; 1000];
        let mut refused = 0;
        for _ in 0..2000 {
            let entry = opcode::Send::new(Fd(near.as_raw_fd()), octets.as_ptr(), 1000)
                .flags(libc::MSG_DONTWAIT)
                .build()
                .flags(Flags::SKIP_SUCCESS)
                .user_data(Kind::MediaSend.tag(1));
            // SAFETY: the octets outlive the ring.
            unsafe { ring.push(&entry) };
            ring.hand_over();
            let mut batch = Vec::with_capacity(16);
            ring.reap(&mut batch);
            assert!(batch.iter().all(|completion| completion.result() == -libc::EAGAIN));
            refused += batch.len();
        }
        assert!(refused > 500, "{refused}");
    }
}
