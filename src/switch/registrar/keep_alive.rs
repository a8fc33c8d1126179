//! The walk over the bindings: forgets expired ones and keeps phones behind NAT reachable.

use super::record::{self, KEEP_ALIVE};
use super::Registrar;
use crate::protocol::Path;
use crate::switch::core::Turn;
use crate::switch::site::mint_call_id;
use shards::Buf;
use std::time::Duration;

/// Between two steps of the walk.
pub(super) const STEP: Duration = Duration::from_millis(250);
/// Steps for one round over the table: ten seconds.
const ROUND: u64 = 40;

impl Registrar {
    /// One step of the walk.
    pub fn expire(&mut self, turn: &mut Turn<'_, '_>) {
        self.next_walk = turn.cx.now + STEP;
        self.steps += 1;
        let now = turn.cx.now.seconds();
        let every = turn.core.site.plan.registrar.keep_alive.as_secs().div_ceil(10);
        let ping = every != 0 && (self.steps / ROUND).is_multiple_of(every);
        let mut expired: Vec<Buf> = Vec::new();
        let mut pings: Vec<(Path, Buf)> = Vec::new();
        self.table.walk(ROUND as usize, |aor, octets| {
            for contact in record::contacts(octets) {
                if u64::from(contact.expires) <= now {
                    expired.push(aor.into());
                } else if ping && contact.flags & KEEP_ALIVE != 0 {
                    pings.push((contact.path, contact.uri.into()));
                }
            }
        });
        for aor in expired {
            let mut left = turn.core.scratch.take();
            record::convert_expiry(&mut left, self.table.get(&aor), |expires| (u64::from(expires) > now).then_some(expires));
            self.table.set(&aor, &left);
            turn.core.scratch.give(left);
        }
        for (path, uri) in pings {
            send_options(turn, &path, &uri);
        }
    }
}

/// An OPTIONS that only has to make the phone's NAT see traffic; its answer is not waited for.
fn send_options(turn: &mut Turn<'_, '_>, path: &Path, uri: &[u8]) {
    let Ok((client, branch)) = turn.core.tx.mint() else { return };
    turn.core.tx.release(client);
    let random = turn.random();
    let site = turn.core.site.clone();
    let listener = site.listener(path.listener);
    let mut out = turn.core.scratch.take();
    let mut put = |part: &[u8]| out.extend_from_slice(part);
    put(b"OPTIONS ");
    put(uri);
    put(b" SIP/2.0\r\nVia: ");
    put(&listener.via);
    put(b";branch=");
    put(&branch);
    put(b";rport\r\nMax-Forwards: 70\r\nFrom: <sip:keepalive@");
    put(site.realm(b""));
    put(b">;tag=");
    put(branch.get(7..).unwrap_or(b"0"));
    put(b"\r\nTo: <");
    put(uri);
    put(b">\r\nCall-ID: ");
    mint_call_id(&mut out, turn.cx.shard, random);
    out.extend_from_slice(b"\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n");
    turn.send(path, &out);
    turn.core.scratch.give(out);
}
