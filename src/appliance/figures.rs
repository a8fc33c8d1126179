//! What ops threads ask a shard about.

use super::Appliance;
use crate::media::Dropped;
use crate::ops::model::{CallRow, CallState, MediaFigures, RegistrationRow, ShardFigures, StreamRow};
use crate::switch::core::Turn;
use crate::switch::mesh::Mesh;
use crate::switch::proxy::record::{read_token, write_id};
use crate::switch::registrar::record;
use shards::Cx;

/// What a shard still holds of calls and requests, entries that wait for their end included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Server and client transactions.
    pub transactions: usize,
    /// Entries of the B2BUA.
    pub b2bua: usize,
    /// Requests on their way through the proxy.
    pub forwarded: usize,
    /// Proxied calls.
    pub records: usize,
    /// Calls counted against the limit.
    pub counted: u32,
    /// Media ports in use.
    pub ports: u64,
    /// Timers of the roles.
    pub timers: usize,
}

impl Appliance {
    /// What is there now; nothing of it may stay after the last call has ended.
    #[must_use]
    pub fn leftovers(&self) -> Leftovers {
        let (servers, clients) = self.core.tx.counts();
        Leftovers {
            transactions: servers + clients,
            b2bua: self.b2bua.len(),
            forwarded: self.proxy.requests(),
            records: self.proxy.calls().count(),
            counted: self.core.calls,
            ports: self.core.media.counters().ports_used,
            timers: self.b2bua.timers() + self.proxy.timers(),
        }
    }

    /// Counters and gauges of this shard. The loop's own figures are the supervisor's to add.
    pub(super) fn figures(&mut self) -> ShardFigures {
        let media = self.core.media.counters();
        let (servers, clients) = self.core.tx.counts();
        let mut calls = [0u64; CallState::COUNT];
        self.b2bua.count(&mut calls);
        for (_, record) in self.proxy.calls() {
            let state = match (record.answered(), record.ringing) {
                (Some(_), _) => CallState::Answered,
                (None, true) => CallState::Ringing,
                (None, false) => CallState::Trying,
            };
            if let Some(count) = calls.get_mut(state as usize) {
                *count += 1;
            }
        }
        ShardFigures {
            stats: self.core.stats.snapshot(),
            media: MediaFigures {
                rtp_in: media.rtp_in,
                rtp_out: media.rtp_out,
                lost: media.lost,
                dropped: media.dropped.iter().take(Dropped::ALL.len()).sum(),
                one_way: media.one_way,
                ports_used: media.ports_used,
                ports_free: media.ports_free,
                ports_quarantined: media.ports_quarantined,
                ..MediaFigures::default()
            },
            transactions: (servers + clients) as u64,
            calls,
            registrations: self.registrar.bindings() as u64,
            ..ShardFigures::default()
        }
    }

    /// Rows of live calls.
    pub(super) fn call_rows(&mut self, cx: &Cx<'_, Mesh>, limit: usize) -> Vec<CallRow> {
        let shard = self.core.shard;
        let mut rows: Vec<CallRow> = self.b2bua.rows(cx, shard, &self.core.media).take(limit).collect();
        let left = limit - rows.len();
        rows.extend(self.proxy.calls().take(left).map(|(at, call)| {
            let mut id = Vec::new();
            write_id(&mut id, shard, b'p', at);
            CallRow {
                id: String::from_utf8_lossy(&id).into_owned(),
                shard,
                state: match (call.answered(), call.ringing) {
                    (Some(_), _) => CallState::Answered,
                    (None, true) => CallState::Ringing,
                    (None, false) => CallState::Trying,
                },
                from: String::from_utf8_lossy(call.from()).into_owned(),
                to: String::from_utf8_lossy(call.to()).into_owned(),
                mode: "proxy",
                media: "direct",
                started: call.started().0,
                answered: call.answered().map(|wall| wall.0),
                seconds: cx.wall.0.saturating_sub(call.answered().unwrap_or(call.started()).0) / 1000,
                from_caller: StreamRow::default(),
                from_callee: StreamRow::default(),
            }
        }));
        rows
    }

    /// Rows of bindings whose AOR, as it is shown, starts with `prefix`.
    pub(super) fn registration_rows(&mut self, cx: &Cx<'_, Mesh>, limit: usize, prefix: &str) -> Vec<RegistrationRow> {
        let now = cx.now.seconds();
        let domain = self.core.site.plan.sip.domains.first().cloned().unwrap_or_default();
        let mut rows = Vec::new();
        let wanted = |user: &[u8]| match prefix.as_bytes().strip_prefix(user) {
            // More than the user part was given: it goes on into `@domain`.
            Some([]) => true,
            Some([b'@', rest @ ..]) => domain.as_bytes().starts_with(rest),
            Some(_) => false,
            None => user.starts_with(prefix.as_bytes()),
        };
        for (aor, octets) in self.registrar.iter().filter(|(aor, _)| wanted(aor)) {
            for contact in record::contacts(octets).filter(|contact| u64::from(contact.expires) > now) {
                if rows.len() >= limit {
                    return rows;
                }
                rows.push(RegistrationRow {
                    aor: format!("{}@{domain}", String::from_utf8_lossy(aor)),
                    contact: String::from_utf8_lossy(contact.uri).into_owned(),
                    expires_in: u64::from(contact.expires) - now,
                    source: contact.path.peer.to_string(),
                    transport: contact.path.transport.param(),
                    user_agent: String::from_utf8_lossy(contact.agent).into_owned(),
                });
            }
        }
        rows
    }

    /// Ends one call by its name; false when there is none. A proxied call is not ours to end: the
    /// dialog belongs to the phones.
    pub(super) fn hang_up(&mut self, cx: &mut Cx<'_, Mesh>, id: &str) -> bool {
        let token = id.as_bytes().get(6..).and_then(read_token);
        match token {
            Some(at) if id.as_bytes().get(5) == Some(&b'b') => self.b2bua.end_one(
                &mut Turn {
                    core: &mut self.core,
                    cx,
                },
                at,
            ),
            _ => false,
        }
    }
}
