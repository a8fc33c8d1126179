//! What the proxy remembers of a call between its requests: enough for the CDR, the call list and
//! for reaching ends that are only reachable over the flow they came from.

use crate::media::Side;
use crate::ops::stats::CallResult;
use crate::protocol::sip::Message;
use crate::protocol::{Path, hex};
use crate::switch::cdr::{self, Cdr};
use crate::switch::core::Core;
use crate::switch::site::{Site, write_hex};
use crate::switch::slab::Handle;
use shards::{Buf, Cx, Time, Wall};

/// One proxied call.
#[derive(Debug)]
pub struct Record {
    /// Caller's tag, Call-ID, caller's URI, called URI, one after the other.
    texts: Buf,
    ends: [u16; 4],
    /// Of the Call-ID, for the table of calls.
    pub call_id_hash: u64,
    /// Where the INVITE came from.
    pub caller: Path,
    /// Where the answered branch went.
    pub callee: Path,
    /// Whether requests to the caller have to take `caller` (else the Request-URI says).
    pub caller_flow: bool,
    /// The same for the callee.
    pub callee_flow: bool,
    /// 18x was passed on.
    pub ringing: bool,
    /// The callee hangs up (else the caller).
    pub bye_from_callee: bool,
    /// When the INVITE came.
    pub began: Time,
    started: Wall,
    answered: Option<Wall>,
}

impl Record {
    /// The record of an INVITE.
    pub fn new(site: &Site, now: Time, wall: Wall, invite: &Message<'_>, path: &Path, caller_flow: bool) -> Self {
        let mut texts = Buf::with_capacity(256);
        let mut ends = [0u16; 4];
        let parts = [invite.from_tag(), invite.call_id(), invite.from().uri, invite.uri()];
        for (end, part) in ends.iter_mut().zip(parts) {
            // Longer texts are cut: the record is for people, and tags are compared by prefix.
            texts.extend_from_slice(part.get(..TEXT_MOST).unwrap_or(part));
            *end = u16::try_from(texts.len()).unwrap_or(u16::MAX);
        }
        Self {
            texts,
            ends,
            call_id_hash: call_id_hash(site, invite.call_id()),
            caller: *path,
            callee: *path,
            caller_flow,
            callee_flow: false,
            ringing: false,
            bye_from_callee: false,
            began: now,
            started: wall,
            answered: None,
        }
    }

    fn text(&self, place: usize) -> &[u8] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        self.texts
            .get(usize::from(start)..usize::from(self.ends[place]))
            .unwrap_or(&[])
    }

    /// Call-ID, cut to what is kept.
    pub fn call_id(&self) -> &[u8] {
        self.text(1)
    }

    /// The caller's URI.
    pub fn from(&self) -> &[u8] {
        self.text(2)
    }

    /// The called URI.
    pub fn to(&self) -> &[u8] {
        self.text(3)
    }

    /// When the INVITE came.
    pub fn started(&self) -> Wall {
        self.started
    }

    /// When the answer was passed on.
    pub fn answered(&self) -> Option<Wall> {
        self.answered
    }

    /// Notes the answer.
    pub fn answer(&mut self, wall: Wall) {
        self.answered = Some(wall);
    }

    /// Which side sent a request within the call; `None` when the request is of another call.
    pub fn side(&self, request: &Message<'_>) -> Option<Side> {
        let same = |kept: &[u8], text: &[u8]| kept == text.get(..TEXT_MOST).unwrap_or(text);
        if !same(self.text(1), request.call_id()) {
            return None;
        }
        Some(if same(self.text(0), request.from_tag()) {
            Side::A
        } else {
            Side::B
        })
    }

    /// Writes the CDR.
    pub fn close(
        &self,
        core: &mut Core,
        cx: &Cx<'_, crate::switch::mesh::Mesh>,
        handle: Handle,
        status: u16,
        hung_up_by: Option<Side>,
    ) {
        let mut id = core.scratch.take();
        write_id(&mut id, core.shard, b'p', handle);
        let result = match hung_up_by {
            Some(_) => CallResult::Completed,
            None if self.answered.is_some() => CallResult::Expired,
            None => cdr::result_of(status),
        };
        core.stats.call_ended(result);
        core.calls = core.calls.saturating_sub(1);
        cdr::write(
            &mut core.cdr,
            &Cdr {
                id: &id,
                call_id: self.text(1),
                from: self.from(),
                to: self.to(),
                mode: "proxy",
                started: self.started,
                answered: self.answered,
                ended: cx.wall,
                status,
                result,
                hung_up_by: match hung_up_by {
                    Some(Side::A) => "caller",
                    Some(Side::B) => "callee",
                    None => "server",
                },
                shard: core.shard,
                media: b"",
            },
        );
        core.scratch.give(id);
    }
}

/// The hash of a Call-ID, as far as a record keeps it.
pub(super) fn call_id_hash(site: &Site, call_id: &[u8]) -> u64 {
    site.hash_of(&[call_id.get(..TEXT_MOST).unwrap_or(call_id)])
}

/// How much of each text is kept.
const TEXT_MOST: usize = 200;

/// Our name of a call: shard, kind, index, generation.
pub fn write_id(out: &mut Vec<u8>, shard: shards::ShardId, kind: u8, handle: Handle) {
    write_hex(out, &shard.to_be_bytes());
    out.push(b'-');
    out.push(kind);
    write_token(out, handle);
}

/// A handle as it stands in a Record-Route URI's user part.
pub fn write_token(out: &mut Vec<u8>, handle: Handle) {
    hex::push(out, u64::from(handle.index) << 32 | u64::from(handle.generation));
}

/// How many octets [`write_token`] writes.
pub const TOKEN: usize = 16;

/// Reads what [`write_token`] wrote.
pub fn read_token(text: &[u8]) -> Option<Handle> {
    let value = hex::read_long(text)?;
    Some(Handle {
        index: (value >> 32) as u32,
        generation: value as u32,
    })
}
