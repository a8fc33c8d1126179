//! The few system calls that the standard library does not offer: socket options before bind,
//! affinity, limits, CPU clocks, anonymous memory.
#![allow(unsafe_code)]

use crate::steer::Steering;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// How long what a former process had may linger.
const LINGER: Duration = Duration::from_millis(800);

/// The kernel takes a process's rings down a little after its end, and their sockets with them: what fails with
/// `busy` is tried again for a moment.
pub(crate) fn patiently<T>(busy: libc::c_int, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let limit = Instant::now() + LINGER;
    loop {
        match attempt() {
            Err(error) if error.raw_os_error() == Some(busy) && Instant::now() < limit => {
                std::thread::sleep(Duration::from_millis(10));
            }
            outcome => return outcome,
        }
    }
}

/// A socket address as the kernel wants it: room for either family.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct RawAddress {
    octets: [u8; RawAddress::SIZE],
    len: u32,
}

impl RawAddress {
    /// `sizeof(struct sockaddr_in6)`.
    pub(crate) const SIZE: usize = 28;
    pub(crate) const EMPTY: RawAddress = RawAddress {
        octets: [0; Self::SIZE],
        len: 0,
    };

    /// AF_UNSPEC: what a datagram socket is connected to in order to be connected no more.
    pub(crate) const UNSPECIFIED: RawAddress = RawAddress {
        octets: [0; Self::SIZE],
        len: 16,
    };

    pub(crate) fn new(address: SocketAddr) -> Self {
        let mut raw = Self::EMPTY;
        raw.octets[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                raw.octets[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                raw.octets[4..8].copy_from_slice(&v4.ip().octets());
                raw.len = 16;
            }
            SocketAddr::V6(v6) => {
                raw.octets[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                raw.octets[4..8].copy_from_slice(&v6.flowinfo().to_be_bytes());
                raw.octets[8..24].copy_from_slice(&v6.ip().octets());
                raw.octets[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                raw.len = 28;
            }
        }
        raw
    }

    /// Reads what the kernel wrote.
    pub(crate) fn parse(octets: &[u8]) -> Option<SocketAddr> {
        let family = i32::from(u16::from_ne_bytes(octets.get(..2)?.try_into().ok()?));
        let port = u16::from_be_bytes(octets.get(2..4)?.try_into().ok()?);
        if family == libc::AF_INET {
            let ip: [u8; 4] = octets.get(4..8)?.try_into().ok()?;
            return Some(SocketAddr::from((ip, port)));
        }
        if family != libc::AF_INET6 {
            return None;
        }
        let flow = u32::from_be_bytes(octets.get(4..8)?.try_into().ok()?);
        let ip: [u8; 16] = octets.get(8..24)?.try_into().ok()?;
        let scope = u32::from_ne_bytes(octets.get(24..28)?.try_into().ok()?);
        Some(std::net::SocketAddrV6::new(ip.into(), port, flow, scope).into())
    }

    pub(crate) fn pointer(&self) -> *const libc::sockaddr {
        self.octets.as_ptr().cast()
    }

    pub(crate) fn len(&self) -> libc::socklen_t {
        self.len
    }
}

fn set_option(socket: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the kernel reads four octets from a live i32.
    check(unsafe { libc::setsockopt(socket, level, name, (&raw const value).cast(), size_of::<i32>() as u32) })
        .map(drop)
}

fn socket(address: SocketAddr, kind: i32) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() {
        libc::AF_INET6
    } else {
        libc::AF_INET
    };
    // SAFETY: no memory is involved; the descriptor returned is ours alone.
    let fd = unsafe { OwnedFd::from_raw_fd(check(libc::socket(family, kind | libc::SOCK_CLOEXEC, 0))?) };
    if address.is_ipv6() {
        set_option(fd.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    Ok(fd)
}

fn bind(fd: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let raw = RawAddress::new(address);
    // SAFETY: pointer and length describe `raw`, which lives through the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), raw.pointer(), raw.len()) }).map(drop)
}

/// The receive and send buffer, past the system's limit where the process may.
pub(crate) fn set_buffers(fd: &OwnedFd, receive: i32, send: i32) {
    for (force, plain, octets) in [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, receive),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, send),
    ] {
        if set_option(fd.as_raw_fd(), libc::SOL_SOCKET, force, octets).is_err() {
            // The kernel lowers it to the limit by itself.
            let _ = set_option(fd.as_raw_fd(), libc::SOL_SOCKET, plain, octets);
        }
    }
}

/// Finds out whether an address is free for a group of sockets: a second process of the same
/// user could otherwise join the group unseen and take half of the datagrams.
pub(crate) fn claim_address(address: SocketAddr, stream: bool) -> io::Result<OwnedFd> {
    let fd = socket(address, if stream { libc::SOCK_STREAM } else { libc::SOCK_DGRAM })?;
    if stream {
        // Connections of a former run that wait in TIME_WAIT are no obstacle.
        set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    }
    bind(&fd, address)?;
    if stream {
        // Only listening tells whether somebody else listens.
        // SAFETY: no memory is involved.
        check(unsafe { libc::listen(fd.as_raw_fd(), 1) })?;
    }
    Ok(fd)
}

/// A signalling datagram socket in a SO_REUSEPORT group.
pub(crate) fn datagram_listener(address: SocketAddr, timestamps: bool) -> io::Result<OwnedFd> {
    let fd = socket(address, libc::SOCK_DGRAM)?;
    if timestamps {
        set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    }
    set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    set_buffers(&fd, 8 << 20, 4 << 20);
    bind(&fd, address)?;
    Ok(fd)
}

/// Lets a program choose among the sockets of a SO_REUSEPORT group, which are numbered in the order
/// in which they were bound. Any of them speaks for the group.
pub(crate) fn steer(member: &OwnedFd, steering: &Steering) -> io::Result<()> {
    let code = steering.code();
    let program = libc::sock_fprog {
        len: u16::try_from(code.len()).map_err(io::Error::other)?,
        filter: code.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `program` and the instructions, which are laid out as the kernel's, live through the
    // call; the kernel copies and checks them, and writes nothing.
    check(unsafe {
        libc::setsockopt(
            member.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// A listening stream socket in a SO_REUSEPORT group.
pub(crate) fn stream_listener(address: SocketAddr) -> io::Result<OwnedFd> {
    let fd = socket(address, libc::SOCK_STREAM)?;
    set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    bind(&fd, address)?;
    // SAFETY: no memory is involved.
    check(unsafe { libc::listen(fd.as_raw_fd(), 1024) })?;
    Ok(fd)
}

/// A media socket. `timestamps` makes the kernel note when each packet arrived.
pub(crate) fn media_socket(address: SocketAddr, timestamps: bool) -> io::Result<OwnedFd> {
    let fd = socket(address, libc::SOCK_DGRAM)?;
    set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, 256 << 10)?;
    if timestamps {
        set_option(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    }
    bind(&fd, address)?;
    Ok(fd)
}

/// The address that a socket is bound to.
pub(crate) fn local_address(fd: &OwnedFd) -> io::Result<SocketAddr> {
    let mut octets = [0u8; RawAddress::SIZE];
    let mut len = RawAddress::SIZE as libc::socklen_t;
    // SAFETY: pointer and length describe `octets`; the kernel writes no more than that.
    check(unsafe { libc::getsockname(fd.as_raw_fd(), octets.as_mut_ptr().cast(), &raw mut len) })?;
    RawAddress::parse(&octets).ok_or_else(|| io::Error::other("a socket of an unknown family"))
}

/// Ends both directions of a connection; its reader sees the end.
pub(crate) fn shutdown(fd: RawFd) {
    // SAFETY: no memory is involved; on a wrong descriptor the call fails.
    unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
}

/// Makes the coming close of a connection drop what is unsent and tell the peer at once.
pub(crate) fn close_hard(socket: RawFd) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let size = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: the kernel reads a live linger; on a wrong descriptor the call fails.
    unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size,
        );
    }
}

/// Gives a descriptor to a type that owns descriptors but takes them only as raw numbers.
pub(crate) fn adopt<T: FromRawFd>(fd: OwnedFd) -> T {
    // SAFETY: the number comes from an OwnedFd that gives its ownership up here, to `T`.
    unsafe { T::from_raw_fd(fd.into_raw_fd()) }
}

/// A non-blocking eventfd.
pub(crate) fn event_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: no memory is involved; the descriptor returned is ours alone.
    unsafe { check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// The cores that the process may run on.
pub(crate) fn allowed_cores() -> Vec<usize> {
    // SAFETY: a cpu_set_t of zeros is a valid empty set, and the kernel fills at most its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) < 0 {
            return Vec::new();
        }
        set
    };
    (0..libc::CPU_SETSIZE as usize)
        // SAFETY: the index is below CPU_SETSIZE.
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect()
}

/// Pins the calling thread to a core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a cpu_set_t of zeros is a valid empty set, the index is below CPU_SETSIZE, and
    // the kernel reads no more than the size given.
    check(unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    })
    .map(drop)
}

/// Gives the calling thread a lower priority.
pub(crate) fn lower_priority(by: i32) {
    // SAFETY: no memory is involved. On Linux this changes the calling thread only.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS, thread, by);
    }
}

/// Raises the soft limit of open files to the hard one; returns the limit.
pub(crate) fn raise_file_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel reads and writes a live rlimit.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) < 0 {
            return 1024;
        }
        if limit.rlim_cur < limit.rlim_max {
            let raised = libc::rlimit {
                rlim_cur: limit.rlim_max,
                rlim_max: limit.rlim_max,
            };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) == 0 {
                return limit.rlim_max;
            }
        }
    }
    limit.rlim_cur
}

/// The limit of locked memory in octets.
pub(crate) fn memory_lock_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes a live rlimit.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    limit.rlim_cur
}

/// Whether a network device is a loopback one; false when there is no such device.
pub(crate) fn is_loopback_device(name: &str) -> bool {
    // SAFETY: zeros are a valid ifreq, and the name, which is checked, ends with a zero; the kernel reads
    // and writes a live ifreq, of which it sets the flags.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        if name.len() >= request.ifr_name.len() {
            return false;
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        let Ok(fd) = check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)) else {
            return false;
        };
        let fd = OwnedFd::from_raw_fd(fd);
        libc::ioctl(fd.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) == 0
            && i32::from(request.ifr_ifru.ifru_flags) & libc::IFF_LOOPBACK != 0
    }
}

/// The monotonic clock, as the kernel's own programs read it.
pub(crate) fn monotonic_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CPU time that the calling thread used.
pub(crate) fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// A mapping, unmapped when it is dropped.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the region is plain memory owned by this value alone; where the kernel shares it, its users keep to atomics.
unsafe impl Send for Region {}

impl Region {
    /// Page-aligned anonymous memory of zeros; pages are taken when they are touched.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        Self::map(
            len,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    }

    /// What a descriptor shares with the kernel, from an offset on.
    pub(crate) fn shared(fd: &OwnedFd, offset: libc::off_t, len: usize) -> io::Result<Self> {
        Self::map(len, libc::MAP_SHARED | libc::MAP_POPULATE, fd.as_raw_fd(), offset)
    }

    fn map(len: usize, flags: libc::c_int, fd: RawFd, offset: libc::off_t) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                fd,
                offset,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("memory at address 0"))?;
        Ok(Self { base, len })
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`; the owner sees to it that the kernel has
        // given up its use (see `BufferRing`).
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive() {
        for text in ["127.0.0.1:5060", "255.1.2.3:65535", "[::1]:5061", "[fe80::1%7]:9"] {
            let address: SocketAddr = text.parse().expect("an address");
            let raw = RawAddress::new(address);
            assert_eq!(RawAddress::parse(&raw.octets), Some(address));
        }
        assert_eq!(RawAddress::parse(&[0; 28]), None);
        assert_eq!(RawAddress::parse(&[2]), None);
    }

    #[test]
    fn a_group_is_seen_by_a_claim() {
        let first = datagram_listener("127.0.0.1:0".parse().expect("an address"), false).expect("free port");
        let address = local_address(&first).expect("address");
        assert_eq!(
            claim_address(address, false).map(drop).map_err(|e| e.kind()),
            Err(io::ErrorKind::AddrInUse)
        );
        datagram_listener(address, false).expect("a second one of the group");
        let first = stream_listener("[::1]:0".parse().expect("an address")).expect("free port");
        let address = local_address(&first).expect("address");
        assert_eq!(
            claim_address(address, true).map(drop).map_err(|e| e.kind()),
            Err(io::ErrorKind::AddrInUse)
        );
    }
}
