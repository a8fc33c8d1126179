//! An AF_XDP socket with its memory: frames that come, frames that leave, frames that are free.
#![allow(unsafe_code)]

use super::bpf::Gate;
use super::filter::STAMP;
use super::ring::Ring;
use super::{FRAME, FRAMES, RING};
use crate::sys::{Region, check};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// How often a send is tried while the device takes nothing.
const TRIES: u32 = 128;

/// A frame that is ours: where its first octet is, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    at: u64,
    len: u32,
}

pub(super) struct Socket {
    fd: OwnedFd,
    received: Ring<libc::xdp_desc>,
    sent: Ring<libc::xdp_desc>,
    /// Frames for the kernel to receive into.
    fill: Ring<u64>,
    /// Frames that have left.
    complete: Ring<u64>,
    free: Vec<u64>,
    /// Frames that the kernel could receive into.
    filled: u32,
    /// Last, so that it outlives the socket.
    memory: Region,
}

fn option<T>(fd: &OwnedFd, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads a live value of the size given.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_XDP,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// Reads an option that is plain numbers.
fn read_option<T>(fd: &OwnedFd, name: libc::c_int) -> io::Result<T> {
    // SAFETY: zeros are a valid value of the kernel's structures of numbers.
    let mut value: T = unsafe { std::mem::zeroed() };
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` octets of a live value.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_XDP,
            name,
            (&raw mut value).cast(),
            &raw mut len,
        )
    })?;
    Ok(value)
}

impl Socket {
    /// A socket on a queue of the gate's device.
    pub(super) fn open(gate: &Gate, queue: u32) -> io::Result<Self> {
        // SAFETY: no memory is involved; the descriptor returned is ours alone.
        let fd = unsafe {
            OwnedFd::from_raw_fd(check(libc::socket(
                libc::AF_XDP,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                0,
            ))?)
        };
        let memory = Region::new(FRAMES as usize * FRAME)?;
        option(
            &fd,
            libc::XDP_UMEM_REG,
            &libc::xdp_umem_reg {
                addr: memory.base() as u64,
                len: memory.len() as u64,
                chunk_size: FRAME as u32,
                headroom: 0,
                flags: 0,
                tx_metadata_len: 0,
            },
        )?;
        let sizes = [
            (libc::XDP_UMEM_FILL_RING, 2 * RING),
            (libc::XDP_UMEM_COMPLETION_RING, RING),
            (libc::XDP_RX_RING, 2 * RING),
            (libc::XDP_TX_RING, RING),
        ];
        for (name, size) in sizes {
            option(&fd, name, &size)?;
        }
        let offsets: libc::xdp_mmap_offsets = read_option(&fd, libc::XDP_MMAP_OFFSETS)?;
        let fill_page = libc::XDP_UMEM_PGOFF_FILL_RING as libc::off_t;
        let complete_page = libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t;
        let mut socket = Self {
            fill: Ring::map(&fd, fill_page, &offsets.fr, 2 * RING)?,
            complete: Ring::map(&fd, complete_page, &offsets.cr, RING)?,
            received: Ring::map(&fd, libc::XDP_PGOFF_RX_RING, &offsets.rx, 2 * RING)?,
            sent: Ring::map(&fd, libc::XDP_PGOFF_TX_RING, &offsets.tx, RING)?,
            free: (0..u64::from(FRAMES)).map(|frame| frame * FRAME as u64).collect(),
            filled: 0,
            fd,
            memory,
        };
        crate::sys::set_buffers(&socket.fd, 1 << 20, 8 << 20);
        socket.refill();
        let address = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            // Without copies where the driver can, with one elsewhere.
            sxdp_flags: 0,
            sxdp_ifindex: gate.device,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        // SAFETY: the kernel reads a live address of the size given.
        check(unsafe {
            libc::bind(
                socket.fd.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_xdp>() as libc::socklen_t,
            )
        })?;
        gate.admit(queue, socket.fd.as_raw_fd())?;
        Ok(socket)
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Whether the driver takes frames without copying them.
    pub(super) fn copies_nothing(&self) -> bool {
        read_option::<libc::xdp_options>(&self.fd, libc::XDP_OPTIONS)
            .is_ok_and(|options| options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// Frames that the kernel dropped for want of room.
    pub(super) fn dropped(&self) -> u64 {
        read_option::<libc::xdp_statistics>(&self.fd, libc::XDP_STATISTICS).map_or(0, |statistics| {
            statistics.rx_ring_full + statistics.rx_fill_ring_empty_descs + statistics.rx_dropped
        })
    }

    /// The next frame that came, with the monotonic nanosecond of its coming.
    pub(super) fn receive(&mut self) -> Option<(Frame, u64)> {
        let entry = self.received.take()?;
        self.filled = self.filled.saturating_sub(1);
        let stamp = (entry.addr as usize)
            .checked_sub(STAMP)
            .and_then(|at| self.range(at, STAMP)?.first_chunk().copied())
            .map_or(0, u64::from_ne_bytes);
        let frame = Frame {
            at: entry.addr,
            len: entry.len,
        };
        Some((frame, stamp))
    }

    /// Whether a frame waits.
    pub(super) fn has_received(&mut self) -> bool {
        !self.received.is_empty()
    }

    fn range(&mut self, at: usize, len: usize) -> Option<&mut [u8]> {
        if at.checked_add(len)? > self.memory.len() {
            return None;
        }
        // SAFETY: within the memory, which nobody else in this process has a reference into; the kernel
        // writes only frames that are in the fill ring or not yet taken from the received ring.
        Some(unsafe { std::slice::from_raw_parts_mut(self.memory.base().add(at), len) })
    }

    /// The octets of a frame that is ours.
    pub(super) fn octets(&mut self, frame: Frame) -> &mut [u8] {
        self.range(frame.at as usize, frame.len as usize).unwrap_or_default()
    }

    /// A free frame of so many octets, to be sent or given back.
    pub(super) fn take(&mut self, len: usize) -> Option<Frame> {
        if len > FRAME {
            return None;
        }
        if self.free.is_empty() {
            self.reclaim();
        }
        let at = self.free.pop()?;
        Some(Frame { at, len: len as u32 })
    }

    /// The frame is free again.
    pub(super) fn give_back(&mut self, frame: Frame) {
        self.free.push(frame.at / FRAME as u64 * FRAME as u64);
    }

    /// Queues the first `len` octets of a frame; false, and the frame is free, when there is no room.
    pub(super) fn send(&mut self, frame: Frame, len: usize) -> bool {
        let entry = libc::xdp_desc {
            addr: frame.at,
            len: len as u32,
            options: 0,
        };
        if self.sent.put(entry) {
            return true;
        }
        self.kick();
        if self.sent.put(entry) {
            return true;
        }
        self.give_back(frame);
        false
    }

    /// Frames that have left are free again.
    fn reclaim(&mut self) {
        while let Some(at) = self.complete.take() {
            self.free.push(at / FRAME as u64 * FRAME as u64);
        }
        self.complete.release();
    }

    /// Gives the kernel room to receive into: up to half of all frames.
    pub(super) fn refill(&mut self) {
        self.received.release();
        while self.filled < 2 * RING {
            let Some(at) = self.free.pop() else { break };
            if !self.fill.put(at) {
                self.free.push(at);
                break;
            }
            self.filled += 1;
        }
        self.fill.publish();
    }

    /// Has the kernel send what is queued; whether something is left.
    pub(super) fn kick(&mut self) -> bool {
        self.sent.publish();
        let mut left = self.sent.waiting() > 0;
        for _ in 0..TRIES {
            if !left {
                break;
            }
            // SAFETY: no memory is involved. In copy mode a call takes some 32 frames and says EAGAIN.
            let result = unsafe {
                libc::sendto(
                    self.fd.as_raw_fd(),
                    std::ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null(),
                    0,
                )
            };
            let error = if result < 0 {
                io::Error::last_os_error().raw_os_error()
            } else {
                None
            };
            self.reclaim();
            left = self.sent.waiting() > 0;
            if !matches!(error, None | Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS)) {
                // The device is down: later, perhaps.
                break;
            }
        }
        self.reclaim();
        left
    }
}
