//! The floor on the shard runtime: multishot receive, provided buffers, direct descriptors, sends
//! with skipped completions, one enter with `min_wait_usec`.

use shards::{Cx, ListenerId, MediaSlice, Plan, Program, Sender, Slot, StreamEvent, Time, Verdict, Written};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;

/// A relay of `calls` calls: leg A's slot is `4 * call`, leg B's is two more, as with RTP and RTCP.
struct Relay {
    calls: u32,
    media: MediaSlice,
    /// Where each slot's packets came from last: there the other leg's packets go.
    peers: Vec<SocketAddr>,
    ready: mpsc::Sender<Result<Vec<[SocketAddr; 2]>, String>>,
}

impl Program for Relay {
    type Mesh = ();

    fn start(&mut self, cx: &mut Cx<'_, ()>) {
        let mut open = |slot: Slot| {
            cx.host
                .open_media(slot)
                .map_err(|error| format!("slot {}: {error:?}", slot.0))?;
            self.media
                .address(slot)
                .ok_or_else(|| format!("slot {} has no address", slot.0))
        };
        let pairs = (0..self.calls)
            .map(|call| Ok([open(Slot(4 * call))?, open(Slot(4 * call + 2))?]))
            .collect();
        let _ = self.ready.send(pairs);
    }

    fn media(&mut self, _now: Time, slot: Slot, from: SocketAddr, _packet: &mut [u8]) -> Verdict {
        let other = Slot(slot.0 ^ 2);
        if let Some(peer) = self.peers.get_mut(slot.0 as usize) {
            *peer = from;
        }
        match self.peers.get(other.0 as usize) {
            Some(&to) if to.port() != 0 => Verdict::Relay { slot: other, to },
            _ => Verdict::Drop,
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }

    fn datagram(&mut self, _: &mut Cx<'_, ()>, _: ListenerId, _: SocketAddr, _: &[u8]) {}
    fn media_odd(&mut self, _: &mut Cx<'_, ()>, _: Slot, _: SocketAddr, _: &mut [u8]) {}
    fn stream(&mut self, _: &mut Cx<'_, ()>, _: StreamEvent) {}
    fn mesh(&mut self, _: &mut Cx<'_, ()>, _: Sender, (): ()) {}
    fn written(&mut self, _: &mut Cx<'_, ()>, _: Written) {}
    fn expire(&mut self, _: &mut Cx<'_, ()>) {}
}

/// Starts the relay; `announce` gets the address pairs; runs until the process is ended.
/// # Errors
/// When the ring or a port cannot be had.
pub fn serve(calls: u32, shards: u16, announce: impl FnOnce(&[[SocketAddr; 2]]) -> io::Result<()>) -> io::Result<()> {
    let shards = shards.max(1);
    let each = calls.div_ceil(u32::from(shards));
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (ready, result) = mpsc::channel();
    let plan = Plan {
        shards,
        media: MediaSlice::split(&[address], 10_000, 31_999, usize::from(shards)),
        ..Plan::default()
    };
    let cluster = shards::launch(plan, move |seat| {
        let media = seat.media.clone().unwrap_or(MediaSlice {
            addresses: Vec::new(),
            first: 0,
            ports: 0,
        });
        let unknown = SocketAddr::new(address, 0);
        Relay {
            calls: each,
            peers: vec![unknown; media.slots() as usize],
            media,
            ready: ready.clone(),
        }
    });
    let cluster = cluster.map_err(|error| io::Error::other(error.to_string()))?;
    let mut pairs = Vec::new();
    for _ in 0..shards {
        let part = result.recv_timeout(Duration::from_secs(10)).map_err(io::Error::other)?;
        pairs.extend(part.map_err(io::Error::other)?);
    }
    pairs.truncate(calls as usize);
    announce(&pairs)?;
    let handle = cluster.handle();
    for line in handle.describe() {
        io::Write::write_fmt(&mut io::stderr(), format_args!("{line}\n"))?;
    }
    loop {
        std::thread::park();
    }
}
