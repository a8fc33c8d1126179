//! Blind transfer, RFC 3515 and RFC 5589 section 6.1.

use super::{DOMAIN, EndpointCx, Phone, SocketAddr, State, Text, text};

impl Phone {
    /// Asks the other side to call `number` instead.
    pub fn transfer(&mut self, cx: &mut EndpointCx<'_>, place: usize, number: &str) {
        if self.legs.get(place).is_some_and(|leg| leg.state == State::Up) {
            let cseq = self.next_cseq(place);
            let extra = format!("Refer-To: <sip:{number}@{DOMAIN}>\n");
            self.within(cx, place, "REFER", cseq, &extra, "");
        }
    }

    /// Does as it is asked, and says at once that it will.
    pub(super) fn referred(&mut self, cx: &mut EndpointCx<'_>, from: SocketAddr, request: &Text, place: usize) {
        self.reply(cx, from, request, 202, "", "", "");
        let number = text::user(text::uri(request.one("refer-to"))).to_owned();
        if number.is_empty() || number == self.name {
            return;
        }
        let cseq = self.next_cseq(place);
        let extra = "Event: refer\nSubscription-State: terminated;reason=noresource\n";
        self.within(cx, place, "NOTIFY", cseq, extra, "");
        self.call(cx, &number);
    }

    /// The other side took it over: this one has nothing more to say.
    pub(super) fn transferred(&mut self, cx: &mut EndpointCx<'_>, place: usize) {
        self.hang_up(cx, place);
    }
}
