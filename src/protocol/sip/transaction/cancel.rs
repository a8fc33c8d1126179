//! CANCEL, RFC 3261 section 9.1: a non-INVITE client transaction of the layer's own beside the
//! INVITE's, with the same branch. The two places name each other until one is given back.

use super::client::{Client, Machine};
use super::room::counts_outside;
use super::table::invite_client;
use super::{ClientId, Token, Transactions, compose, timers};
use crate::protocol::Wire;
use crate::protocol::sip::{Carrier, Method, parse};
use shards::Buf;

impl Transactions {
    /// Cancels an INVITE (section 9.1): at once when a provisional response came, or as soon as
    /// one comes; not at all after a final response. `reason` is a Reason header's value
    /// (RFC 3326). 64*T1 after the CANCEL the INVITE gives up with [`Event::ClientTimeout`].
    pub fn cancel(&mut self, wire: &mut dyn Wire, id: ClientId, reason: Option<&[u8]>) {
        use invite_client::State::{Calling, Proceeding};
        let Some(client) = self.clients.get(id.index, id.generation) else {
            return;
        };
        let Machine::Invite(state @ (Calling | Proceeding)) = client.machine else {
            return;
        };
        if client.partner.is_some() {
            return;
        }
        let Ok(invite) = parse(&client.request, &mut self.tools.spans, Carrier::Datagram) else {
            debug_assert!(false, "our own INVITE can be read");
            return;
        };
        self.tools.text.clear();
        compose::cancel(&mut self.tools.text, &invite, reason);
        let mut cancel = Client::new(Machine::Held, client.random);
        cancel.method = Method::Cancel;
        cancel.path = client.path;
        cancel.request = Buf::copy_of(&self.tools.text);
        cancel.partner = Some(id.index);
        // Beyond the limit if need be: an INVITE has at most one, and it frees more than it takes.
        let (place, _) = self.clients.insert(cancel);
        if let Some(client) = self.clients.at_mut(id.index) {
            client.partner = Some(place);
        }
        if state == Proceeding {
            self.start_cancel(wire, id.index);
        }
    }

    /// Sends the CANCEL that an INVITE holds; from now the INVITE has 64*T1.
    pub(super) fn start_cancel(&mut self, wire: &mut dyn Wire, invite: u32) {
        let Some(place) = self.clients.at(invite).and_then(|client| client.partner) else {
            return;
        };
        let id = self.client_id(place);
        match self.clients.at_mut(place) {
            Some(cancel) if cancel.machine == Machine::Held => cancel.start(wire, id, &mut self.tools),
            _ => return,
        }
        if let Some(client) = self.clients.at_mut(invite) {
            let before = client.schedule.next();
            client.schedule.ends_at = wire.now() + timers::long(&self.tools.timers);
            client
                .schedule
                .arm(before, &mut self.tools.wheel, Token::Client(invite));
        }
    }

    /// Forgets a CANCEL that was not sent: the INVITE has its final response.
    pub(super) fn drop_held_cancel(&mut self, invite: u32) {
        let Some(place) = self.clients.at(invite).and_then(|client| client.partner) else {
            return;
        };
        if self
            .clients
            .at(place)
            .is_some_and(|cancel| cancel.machine == Machine::Held)
        {
            self.remove_client(place);
        }
    }

    /// Ends the transaction in a place. An INVITE whose CANCEL still runs stays as a husk.
    pub(super) fn remove_client(&mut self, index: u32) {
        let Some(client) = self.clients.at_mut(index) else {
            return;
        };
        client.schedule.disarm(&mut self.tools.wheel);
        let (partner, own) = (client.partner, client.method == Method::Cancel);
        if partner.is_some() && !own {
            client.machine = Machine::Husk;
            client.request = Buf::new();
            return;
        }
        self.outside -= usize::from(counts_outside(client.method));
        self.clients.remove(index);
        let Some(invite) = partner else { return };
        if let Some(client) = self.clients.at_mut(invite) {
            client.partner = None;
            if client.machine == Machine::Husk {
                self.clients.remove(invite);
            }
        }
    }
}
