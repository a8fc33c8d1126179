//! bpf(2): the map of sockets, the program, and its place at the device.
#![allow(unsafe_code)]

use super::filter::{self, Instruction};
use super::ports::Ports;
use super::{FRAME, FRAMES};
use crate::media::MediaSlice;
use crate::supervise::LaunchError;
use crate::sys::{check, patiently};
use std::ffi::CString;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

// linux/bpf.h.
const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;
const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

#[repr(C)]
struct MapUpdate {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    device: u32,
    attach_type: u32,
    flags: u32,
}

/// # Safety
/// `T` is laid out as the command's part of `union bpf_attr`, and what it points to is live.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads `size_of::<T>()` octets of a live value, and what the caller promises.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    check(result as libc::c_int)
}

/// # Safety
/// As for [`bpf`]; the command gives a new descriptor.
unsafe fn bpf_descriptor<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: as the caller promises; the descriptor is ours alone.
    unsafe { bpf(command, attributes).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// The program at a device. It goes when this is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct Gate {
    sockets: OwnedFd,
    ports: Ports,
    _link: OwnedFd,
    pub(super) device: u32,
    name: String,
}

impl Gate {
    /// Puts the program for these media ports, one slice a shard, at a device.
    pub(crate) fn open(name: &str, slices: &[MediaSlice]) -> Result<Self, LaunchError> {
        let text = CString::new(name).unwrap_or_default();
        // SAFETY: the kernel reads a live text that ends with a zero.
        let device = unsafe { libc::if_nametoindex(text.as_ptr()) };
        if device == 0 {
            return Err(LaunchError::new(format!(
                "xdp: there is no network device {name}: `ip link` shows those that there are"
            )));
        }
        check_loopback(name)?;
        let refused = |what: &str, error: &io::Error| LaunchError::new(refusal(name, what, error));
        let all = slices.first().map_or(&[][..], |slice| &slice.addresses);
        let addresses: Vec<_> = all
            .iter()
            .enumerate()
            .filter_map(|(number, address)| match address {
                IpAddr::V4(address) => Some((number, *address)),
                IpAddr::V6(_) => None,
            })
            .collect();
        if addresses.is_empty() {
            return Err(LaunchError::new(format!(
                "xdp: none of the media addresses is an IPv4 address, which is all that goes past the kernel at {name}"
            )));
        }
        let sockets =
            map(MAP_TYPE_XSKMAP, slices.len() as u32, 0).map_err(|error| refused("map of sockets", &error))?;
        let ports = Ports::new(all.len()).map_err(|error| refused("map of ports", &error))?;
        let code = filter::program(&addresses, ports.descriptor(), sockets.as_raw_fd());
        let program = load(&code).map_err(|error| refused("program", &error))?;
        // SAFETY: as above.
        let attributes = LinkCreate {
            program: program.as_raw_fd() as u32,
            device,
            attach_type: ATTACH_XDP,
            // The driver's own mode where it has one, the generic one elsewhere.
            // The driver's own mode where it has one, the generic one elsewhere.
            flags: 0,
        };
        // SAFETY: as above.
        let attach = || unsafe { bpf_descriptor(LINK_CREATE, &attributes) };
        let link = patiently(libc::EBUSY, attach).map_err(|error| refused("place at the device", &error))?;
        Ok(Self {
            sockets,
            ports,
            _link: link,
            device,
            name: name.to_owned(),
        })
    }

    /// The device's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// From now on frames for a port go to the socket of a queue (`None`: the usual way).
    pub(super) fn steer(&self, address: usize, port: u16, queue: Option<u32>) {
        self.ports
            .set(filter::place(address, port), queue.map_or(0, |queue| queue + 1));
    }

    /// From now on a shard's frames go to this socket.
    pub(super) fn admit(&self, shard: u32, socket: RawFd) -> io::Result<()> {
        let value = socket as u32;
        // SAFETY: key and value are live and have the sizes that the map was made with.
        unsafe {
            bpf(
                MAP_UPDATE_ELEM,
                &MapUpdate {
                    map: self.sockets.as_raw_fd() as u32,
                    padding: 0,
                    key: &raw const shard as u64,
                    value: &raw const value as u64,
                    flags: 0,
                },
            )
        }
        .map(drop)
    }
}

pub(super) fn map(map_type: u32, max_entries: u32, flags: u32) -> io::Result<OwnedFd> {
    let attributes = MapCreate {
        map_type,
        key_size: 4,
        value_size: 4,
        max_entries,
        flags,
    };
    // SAFETY: laid out as the command's attributes, without pointers.
    unsafe { bpf_descriptor(MAP_CREATE, &attributes) }
}

/// Frames that are put onto a loopback device come in without the route that the kernel gave its own: it
/// takes them for forged unless it is told otherwise.
fn check_loopback(name: &str) -> Result<(), LaunchError> {
    if !crate::sys::is_loopback_device(name) {
        return Ok(());
    }
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    for setting in ["route_localnet", "accept_local"] {
        let on = [name, "all"]
            .iter()
            .any(|place| read(&format!("/proc/sys/net/ipv4/conf/{place}/{setting}")).trim() == "1");
        if !on {
            return Err(LaunchError::new(format!(
                "xdp: at {name} the kernel would drop what is sent past it: run `sysctl -w net.ipv4.conf.{name}.{setting}=1`, best in a network namespace of its own"
            )));
        }
    }
    Ok(())
}

fn load(code: &[Instruction]) -> io::Result<OwnedFd> {
    let mut log = vec![0_u8; 64 << 10];
    let mut name = [0; 16];
    name[..14].copy_from_slice(b"ringfort_media");
    let attributes = ProgLoad {
        prog_type: PROG_TYPE_XDP,
        count: code.len() as u32,
        instructions: code.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: 1,
        log_size: log.len() as u32,
        log: log.as_mut_ptr() as u64,
        kernel_version: 0,
        flags: 0,
        name,
    };
    // SAFETY: instructions, licence and log live through the call, with the sizes given.
    unsafe { bpf_descriptor(PROG_LOAD, &attributes) }.inspect_err(|_| {
        let text = String::from_utf8_lossy(&log);
        let text = text.trim_end_matches('\0').trim();
        tracing::debug!(verifier = text, "xdp program refused");
    })
}

/// Why there is no express lane, and what to do.
pub(super) fn refusal(device: &str, what: &str, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => format!(
            "xdp: no {what} at {device} without privilege: run as root, or grant CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF"
        ),
        Some(libc::ENOBUFS | libc::ENOMEM) => format!(
            "xdp: no {what} at {device}: a shard's frames take {} MiB of locked memory; raise it with `ulimit -l unlimited` or LimitMEMLOCK=infinity",
            (FRAMES as usize * FRAME) >> 20
        ),
        Some(libc::EBUSY | libc::EEXIST) => format!(
            "xdp: {device} is taken ({what}): another XDP program or AF_XDP socket is at it, `ip link show {device}` and `bpftool net` show whose"
        ),
        Some(libc::EINVAL | libc::ENOSYS | libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => format!(
            "xdp: no {what} at {device} ({error}): the kernel needs CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS, Linux 6.0 or newer"
        ),
        _ => format!("xdp: no {what} at {device}: {error}"),
    }
}
