//! Max-Breadth: how many branches one request may become on its way (RFC 5393 section 5.3).

use crate::protocol::sip::{Message, Name};

/// RFC 5393 section 5.3: each of `group` parallel branches takes a share of the breadth, which is
/// `most` unless the request says less; `among` so many such groups are on their way. `None` when the
/// request need not say anything.
#[must_use]
pub fn share(request: &Message<'_>, group: usize, among: usize, most: u16) -> Option<usize> {
    let named = request.header(Name::MaxBreadth);
    if group <= 1 && among <= 1 && named.is_none() {
        return None;
    }
    let most = usize::from(most);
    let named = named.and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    Some(named.unwrap_or(most).min(most) / among.max(1) / group.max(1))
}
