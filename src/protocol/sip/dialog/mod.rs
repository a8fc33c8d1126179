//! Dialogs of a user agent, RFC 3261 section 12: the state that two ends share, from the
//! response that makes it to the last request in it.
//!
//! All strings lie in one pooled buffer in the order of [`Part`]; a dialog is its own owner and
//! knows no transaction. Typical size: this struct and about 350 octets of text.

mod request;
pub mod session_timer;
#[cfg(test)]
mod tests;

use super::{Message, Method, Name, NameAddr, Scheme, Uri};
use shards::Buf;

/// One dialog, or before the first response with a tag the start of one ([`Dialog::calling`]).
#[derive(Clone, Debug)]
pub struct Dialog {
    text: Buf,
    /// Where each part of `text` ends.
    ends: [u32; PARTS],
    /// The last CSeq number that we sent.
    local_seq: u32,
    /// The last one that came; `None` before the first.
    remote_seq: Option<u32>,
    /// That of our last INVITE, for its ACK.
    invite_seq: u32,
    confirmed: bool,
    secure: bool,
}

/// Why there is no dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialogError {
    /// A response without a To tag makes none (a 1xx of an RFC 2543 server).
    NoTag,
    /// Contact is missing; a request is answered with 400.
    NoContact,
    /// Contact or a Record-Route cannot be read, or there are more than 32 of the latter; a
    /// request is answered with 400.
    Unreadable,
}

/// What a request is to its dialog, section 12.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// It is next.
    Next,
    /// An ACK or CANCEL, which bears its INVITE's number.
    SameAsInvite,
    /// Its CSeq is lower than the last one: 500.
    Late,
}

/// The parts of a dialog's text, in order.
#[derive(Clone, Copy)]
enum Part {
    CallId,
    /// Our From or To value, tag included.
    Local,
    LocalTag,
    Remote,
    RemoteTag,
    /// The route set: values with a comma between, in the order of a request of ours.
    Routes,
    /// The remote target URI.
    Target,
}

impl Dialog {
    /// The start of a dialog: what our INVITE says before any response. Its route set and target
    /// are those of the INVITE, `tls` is whether it is sent over TLS.
    #[must_use]
    pub fn calling(request: &Message<'_>, tls: bool) -> Self {
        let mut dialog = Self::empty();
        let remote = request.header(Name::To).unwrap_or_default();
        dialog.fill(
            request.call_id(),
            (&[request.header(Name::From).unwrap_or_default()], request.from_tag()),
            (&[remote], request.to_tag().unwrap_or_default()),
            request.values(Name::Route),
            request.uri(),
        );
        dialog.secure = tls && is_sips(request.uri());
        dialog.local_seq = request.cseq().number;
        dialog.invite_seq = dialog.local_seq;
        dialog
    }

    /// The dialog that a response makes (section 12.1.2): early by a 1xx, confirmed by a 2xx.
    /// Each fork's tag makes one of its own from the same start.
    /// # Errors
    /// [`DialogError`]; a 2xx may lack tag and Contact, as RFC 2543 servers' do.
    pub fn established(&self, response: &Message<'_>) -> Result<Self, DialogError> {
        let success = response.status() >= 200;
        if response.to_tag().is_none() && !success {
            return Err(DialogError::NoTag);
        }
        let target = match contact(response) {
            Ok(target) => target,
            Err(DialogError::NoContact) => self.target(),
            Err(other) => return Err(other),
        };
        let recorded = Recorded::of(response)?;
        let mut dialog = Self {
            text: Buf::new(),
            ..*self
        };
        dialog.fill(
            self.call_id(),
            (&[self.local()], self.local_tag()),
            (
                &[response.header(Name::To).unwrap_or_default()],
                response.to_tag().unwrap_or_default(),
            ),
            // "taken from the Record-Route ... in reverse order".
            recorded.iter().rev(),
            target,
        );
        dialog.confirmed = success;
        Ok(dialog)
    }

    /// The dialog that a 2xx to an INVITE of ours is of, from the 2xx alone: enough to acknowledge and end
    /// what nobody remembers any more. Its numbers go on from the INVITE's.
    /// # Errors
    /// [`DialogError`]; without a Contact there is no target.
    pub fn of_answer(response: &Message<'_>) -> Result<Self, DialogError> {
        let mut dialog = Self::empty();
        let target = contact(response)?;
        let recorded = Recorded::of(response)?;
        dialog.fill(
            response.call_id(),
            (&[response.header(Name::From).unwrap_or_default()], response.from_tag()),
            (
                &[response.header(Name::To).unwrap_or_default()],
                response.to_tag().unwrap_or_default(),
            ),
            recorded.iter().rev(),
            target,
        );
        dialog.local_seq = response.cseq().number;
        dialog.invite_seq = dialog.local_seq;
        dialog.confirmed = true;
        Ok(dialog)
    }

    /// [`Dialog::calling`] and [`Dialog::established`] in one.
    /// # Errors
    /// As [`Dialog::established`].
    pub fn from_uac(request: &Message<'_>, response: &Message<'_>, tls: bool) -> Result<Self, DialogError> {
        Self::calling(request, tls).established(response)
    }

    /// The dialog that our response with `local_tag` makes (section 12.1.1); early until
    /// [`Dialog::confirm`].
    /// # Errors
    /// [`DialogError`]: answer 400.
    pub fn from_uas(request: &Message<'_>, local_tag: &[u8], tls: bool) -> Result<Self, DialogError> {
        let target = contact(request)?;
        let recorded = Recorded::of(request)?;
        let to = request.header(Name::To).unwrap_or_default();
        let with_tag: &[&[u8]] = if request.to_tag().is_some() {
            &[to]
        } else {
            &[to, b";tag=", local_tag]
        };
        let mut dialog = Self::empty();
        dialog.fill(
            request.call_id(),
            (with_tag, request.to_tag().unwrap_or(local_tag)),
            (&[request.header(Name::From).unwrap_or_default()], request.from_tag()),
            recorded.iter(),
            target,
        );
        dialog.secure = tls && is_sips(request.uri());
        dialog.remote_seq = Some(request.cseq().number);
        Ok(dialog)
    }

    /// A 2xx came (`Some`) or was sent (`None`): the dialog is confirmed. The 2xx's route set
    /// and target replace those of the early dialog (section 13.2.2.4).
    pub fn confirm(&mut self, response: Option<&Message<'_>>) {
        if let Some(response) = response
            && let Ok(dialog) = self.established(response)
        {
            self.text = dialog.text;
            self.ends = dialog.ends;
        }
        self.confirmed = true;
    }

    /// Checks and takes the CSeq of a request of the peer (section 12.2.2).
    pub fn receive(&mut self, request: &Message<'_>) -> Order {
        let number = request.cseq().number;
        match (request.method(), self.remote_seq) {
            (Method::Ack | Method::Cancel, _) => Order::SameAsInvite,
            (_, Some(last)) if number < last => Order::Late,
            _ => {
                self.remote_seq = Some(number);
                Order::Next
            }
        }
    }

    /// Takes the remote target from an INVITE or UPDATE of the peer that we accept, or from its
    /// 2xx to one of ours (sections 12.2.1.2, 12.2.2). The route set never changes. False when
    /// there is no Contact that can be read, or the method refreshes no target.
    pub fn refresh(&mut self, message: &Message<'_>) -> bool {
        if !matches!(message.method(), Method::Invite | Method::Update) {
            return false;
        }
        let Ok(target) = contact(message) else { return false };
        if target != self.target() {
            let kept = self.end(Part::Routes);
            let mut text = Buf::with_capacity(kept + target.len());
            text.extend_from_slice(self.text.get(..kept).unwrap_or_default());
            append(&mut text, target);
            self.text = text;
            self.close(Part::Target);
        }
        true
    }

    /// Whether a message belongs to this dialog (section 12.2.2): Call-ID and both tags.
    #[must_use]
    pub fn matches(&self, message: &Message<'_>) -> bool {
        let (from, to) = (message.from_tag(), message.to_tag().unwrap_or_default());
        let (local, remote) = if message.is_request() { (to, from) } else { (from, to) };
        self.call_id() == message.call_id() && self.local_tag() == local && self.remote_tag() == remote
    }

    /// Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &[u8] {
        self.part(Part::CallId)
    }

    /// Our tag.
    #[must_use]
    pub fn local_tag(&self) -> &[u8] {
        self.part(Part::LocalTag)
    }

    /// The peer's tag; empty before the first response, or of an RFC 2543 peer.
    #[must_use]
    pub fn remote_tag(&self) -> &[u8] {
        self.part(Part::RemoteTag)
    }

    /// Our From (or To) value with its tag.
    #[must_use]
    pub fn local(&self) -> &[u8] {
        self.part(Part::Local)
    }

    /// The peer's value with its tag.
    #[must_use]
    pub fn remote(&self) -> &[u8] {
        self.part(Part::Remote)
    }

    /// The remote target URI.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.part(Part::Target)
    }

    /// The route set as one Route value; empty when there is none.
    #[must_use]
    pub fn routes(&self) -> &[u8] {
        self.part(Part::Routes)
    }

    /// The last CSeq number that we sent; 0 before the first.
    #[must_use]
    pub fn local_seq(&self) -> u32 {
        self.local_seq
    }

    /// The CSeq number of our last INVITE.
    #[must_use]
    pub fn invite_seq(&self) -> u32 {
        self.invite_seq
    }

    /// The last CSeq number that came.
    #[must_use]
    pub fn remote_seq(&self) -> Option<u32> {
        self.remote_seq
    }

    /// Whether a 2xx was seen.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// The secure flag: TLS and a sips Request-URI.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    fn empty() -> Self {
        Self {
            text: Buf::new(),
            ends: [0; PARTS],
            local_seq: 0,
            remote_seq: None,
            invite_seq: 0,
            confirmed: false,
            secure: false,
        }
    }

    /// Writes all parts. A side is its header value, in pieces, and its tag.
    fn fill<'a>(
        &mut self,
        call_id: &[u8],
        (local, local_tag): (&[&[u8]], &[u8]),
        (remote, remote_tag): (&[&[u8]], &[u8]),
        routes: impl Iterator<Item = &'a [u8]>,
        target: &[u8],
    ) {
        self.text = Buf::with_capacity(TYPICAL);
        for (part, pieces) in [
            (Part::CallId, &[call_id][..]),
            (Part::Local, local),
            (Part::LocalTag, &[local_tag]),
            (Part::Remote, remote),
            (Part::RemoteTag, &[remote_tag]),
        ] {
            pieces.iter().for_each(|piece| append(&mut self.text, piece));
            self.close(part);
        }
        for (number, route) in routes.enumerate() {
            if number > 0 {
                self.text.extend_from_slice(b", ");
            }
            append(&mut self.text, route);
        }
        self.close(Part::Routes);
        append(&mut self.text, target);
        self.close(Part::Target);
    }

    fn close(&mut self, part: Part) {
        self.ends[part as usize] = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
    }

    fn end(&self, part: Part) -> usize {
        self.ends[part as usize] as usize
    }

    fn part(&self, part: Part) -> &[u8] {
        let start = (part as usize)
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        self.text.get(start..self.end(part)).unwrap_or_default()
    }
}

/// The URI of the first Contact.
fn contact<'a>(message: &Message<'a>) -> Result<&'a [u8], DialogError> {
    let value = message.values(Name::Contact).next().ok_or(DialogError::NoContact)?;
    let contact = NameAddr::parse(value).map_err(|_| DialogError::Unreadable)?;
    if Uri::parse(contact.uri).is_err() {
        Err(DialogError::Unreadable)
    } else {
        Ok(contact.uri)
    }
}

/// The Record-Route values of a message, in order.
struct Recorded<'a> {
    values: [&'a [u8]; MOST_ROUTES],
    count: usize,
}

impl<'a> Recorded<'a> {
    fn of(message: &Message<'a>) -> Result<Self, DialogError> {
        let mut recorded = Self {
            values: [&[]; MOST_ROUTES],
            count: 0,
        };
        for value in message.values(Name::RecordRoute) {
            NameAddr::parse(value).map_err(|_| DialogError::Unreadable)?;
            *recorded.values.get_mut(recorded.count).ok_or(DialogError::Unreadable)? = value;
            recorded.count += 1;
        }
        Ok(recorded)
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.values.iter().take(self.count).copied()
    }
}

fn is_sips(uri: &[u8]) -> bool {
    Uri::parse(uri).is_ok_and(|uri| uri.scheme == Scheme::Sips)
}

/// Appends with folds unfolded (section 7.3.1: a fold is one white space).
fn append(text: &mut Buf, piece: &[u8]) {
    let mut lines = piece
        .split(|octet| matches!(octet, b'\r' | b'\n'))
        .filter(|line| !line.is_empty());
    lines.by_ref().for_each(|line| text.extend_from_slice(line));
}

const PARTS: usize = 7;
/// Longest route set: more hops than any network has, and little enough for the stack.
const MOST_ROUTES: usize = 32;
/// Octets reserved for the text.
const TYPICAL: usize = 384;
