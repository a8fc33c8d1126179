//! Matching requests to server transactions, RFC 3261 section 17.2.3.

use super::branch::COOKIE;
use crate::protocol::sip::siphash::Sip128;
use crate::protocol::sip::{Message, Method};

/// A keyed hash of all that section 17.2.3 compares. With 128 bits under a secret key, equal
/// keys are taken for equal transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u128);

impl Key {
    /// For the hash table.
    pub(super) fn hash(self) -> u64 {
        self.0 as u64
    }
}

/// Makes keys with this shard's secret.
pub(super) struct Keyer {
    secret: [u64; 2],
}

impl Keyer {
    pub(super) fn new(secret: [u64; 2]) -> Self {
        Self { secret }
    }

    /// The key of the transaction that a request makes or repeats; that of an ACK is its INVITE's.
    pub(super) fn of(&self, request: &Message<'_>) -> Key {
        match request.method() {
            Method::Ack => self.with(request, Method::Invite.text().as_bytes()),
            _ => self.with(request, request.method_text()),
        }
    }

    /// The key of the INVITE that a CANCEL is for (sections 9.1, 9.2).
    pub(super) fn cancelled(&self, cancel: &Message<'_>) -> Key {
        self.with(cancel, Method::Invite.text().as_bytes())
    }

    fn with(&self, request: &Message<'_>, method: &[u8]) -> Key {
        let via = request.via();
        let mut hash = Sip128::new(self.secret);
        if let Some(branch) = via.branch.filter(|branch| has_cookie(branch)) {
            // The sent-by is compared because the branch is unique to its maker only.
            let port = via.port.unwrap_or(DEFAULT_PORT);
            hash.write(&lengths(method, branch, port).to_le_bytes());
            hash.write(branch);
            hash.write(method);
            hash.write_lower(via.host);
        } else {
            // RFC 2543 clients: the fields of 17.2.3. The To tag is left out, because that of an
            // ACK is the response's; `Server` compares it. A length of 0 no branch above has.
            hash.write(&lengths(method, &[], 0).to_le_bytes());
            field(&mut hash, method);
            field(&mut hash, request.uri());
            field(&mut hash, request.from_tag());
            field(&mut hash, request.call_id());
            hash.write(&request.cseq().number.to_le_bytes());
            hash.write(via.raw);
        }
        Key(hash.finish())
    }
}

/// Whether the branch is an RFC 3261 one: the cookie in any case (section 8.1.1.7 and 7.3.1),
/// and something after it (17.2.3 needs a unique value).
pub(super) fn has_cookie(branch: &[u8]) -> bool {
    branch.len() > COOKIE.len()
        && branch
            .get(..COOKIE.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(COOKIE))
}

/// What comes first, so that no two lists of fields look the same: the lengths, which a head's
/// limit keeps below 2^24, and the port.
fn lengths(method: &[u8], branch: &[u8], port: u16) -> u64 {
    (method.len() as u64) << 40 | (branch.len() as u64) << 16 | u64::from(port)
}

/// Feeds one field so that no two lists of fields look the same.
fn field(hash: &mut Sip128, octets: &[u8]) {
    hash.write(&(octets.len() as u32).to_le_bytes());
    hash.write(octets);
}

/// What a sent-by without a port means (section 18.2.2).
const DEFAULT_PORT: u16 = 5060;
