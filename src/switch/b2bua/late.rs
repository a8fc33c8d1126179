//! 2xx to INVITEs of ours that nobody waits for any more: of another branch than the one that answered
//! first, or of a call that is over. Each is acknowledged, however often it comes, and its dialog is ended
//! once (RFC 3261 section 13.2.2.4). What that takes stands in the 2xx itself.

use super::end::{send_ack, send_in};
use super::{B2bua, Call};
use crate::protocol::Path;
use crate::protocol::sip::dialog::Dialog;
use crate::protocol::sip::transaction::{ClientId, User};
use crate::protocol::sip::{Message, Method};
use crate::switch::core::{Turn, handle, role, user};
use crate::switch::next_hop;
use crate::switch::slab::Handle;

/// Dialogs of one call that were ended because they came second; of more, each 2xx is answered with a BYE.
const MOST_SURPLUS: usize = 16;

impl B2bua {
    /// A 2xx of a branch of a call that is answered or over.
    pub(super) fn surplus(&mut self, turn: &mut Turn<'_, '_>, at: Handle, place: usize, response: &Message<'_>) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let Some(branch) = call.branches.get(place) else { return };
        let (path, flow, client, won) = (branch.path, branch.flow, branch.client, branch.won);
        if call.is_with(response) {
            if call.is_over() {
                acknowledge_late(turn, &path, flow, response, false);
            } else {
                self.acknowledge_again(turn, at, response);
            }
        } else {
            let mark = tag_mark(turn, response);
            let new = !call.surplus.contains(&mark);
            if new && call.surplus.len() < MOST_SURPLUS {
                call.surplus.push(mark);
            }
            acknowledge_late(turn, &path, flow, response, new);
            if !won {
                turn.core.tx.set_client_user(client, ended(mark, flow));
            }
        }
        self.settle(turn, at);
    }

    /// A response in a transaction whose call was forgotten: a 2xx to an INVITE is acknowledged, and when
    /// it is not of the dialog that the call had, that dialog is ended.
    pub fn late(&mut self, turn: &mut Turn<'_, '_>, owner: User, client: ClientId, response: &Message<'_>) {
        let Some(path) = turn.core.tx.client_path(client) else {
            return;
        };
        if !(200..300).contains(&response.status()) || response.method() != Method::Invite {
            return;
        }
        let flow = handle(owner).generation & 1 == 1;
        let known = ended(tag_mark(turn, response), flow);
        acknowledge_late(turn, &path, flow, response, owner != known);
        turn.core.tx.set_client_user(client, known);
    }

    /// A 2xx to a request of a call that was forgotten meanwhile, without any mark of it: a re-INVITE's,
    /// whose dialog ended with the call.
    pub(super) fn orphan(&self, turn: &mut Turn<'_, '_>, client: ClientId, response: &Message<'_>) {
        if (200..300).contains(&response.status())
            && response.method() == Method::Invite
            && let Some(path) = turn.core.tx.client_path(client)
        {
            let flow = next_hop::needs_flow(response, &path);
            acknowledge_late(turn, &path, flow, response, false);
        }
    }
}

impl Call {
    /// Whether a 2xx is of the dialog that answered the call.
    fn is_with(&self, response: &Message<'_>) -> bool {
        self.b
            .dialog
            .as_ref()
            .is_some_and(|dialog| dialog.is_confirmed() && response.to_tag().unwrap_or(b"") == dialog.remote_tag())
    }

    /// The call is forgotten: its INVITE that was answered tells what has to be done with another 2xx.
    pub(super) fn leave_marks(&self, turn: &mut Turn<'_, '_>) {
        let Some(dialog) = self.b.dialog.as_ref().filter(|dialog| dialog.is_confirmed()) else {
            return;
        };
        let mark = turn.core.site.hash_of(&[dialog.remote_tag()]);
        for branch in self.branches.iter().filter(|branch| branch.won) {
            turn.core.tx.set_client_user(branch.client, ended(mark, branch.flow));
        }
    }
}

fn tag_mark(turn: &Turn<'_, '_>, response: &Message<'_>) -> u64 {
    turn.core.site.hash_of(&[response.to_tag().unwrap_or(b"")])
}

/// The user of an INVITE whose call is over: the mark of the dialog that was ended, and in the lowest bit of
/// the generation whether its requests take the INVITE's path.
fn ended(mark: u64, flow: bool) -> User {
    user(
        role::ENDED,
        Handle {
            index: mark as u32,
            generation: (mark >> 32) as u32 & !1 | u32::from(flow),
        },
    )
}

fn acknowledge_late(turn: &mut Turn<'_, '_>, path: &Path, flow: bool, response: &Message<'_>, end: bool) {
    // Without a Contact that can be read there is no one to write to.
    let Ok(mut dialog) = Dialog::of_answer(response) else {
        return;
    };
    let to = match flow {
        true => *path,
        false => next_hop::resolve(&turn.core.site, dialog.next_hop(), path.listener).unwrap_or(*path),
    };
    send_ack(turn, &dialog, &to, response.cseq().number, &[]);
    if end {
        send_in(turn, &mut dialog, &to, Method::Bye, &[]);
    }
}
