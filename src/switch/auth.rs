//! Digest admission: who is asking, and the challenge when we do not know.
//!
//! An unknown user and a wrong password take the same path, cost the same hashes and get the
//! same answer (CVE-2011-2536).

use super::core::Turn;
use super::site::Site;
use crate::config::plan::DigestAlgorithm;
use crate::protocol::Path;
use crate::protocol::sip::digest::{self, Credentials, Ha1, NonceVerdict, Nonces};
use crate::protocol::sip::{Message, Name, Reply};
use shards::Time;

/// Whether credentials convince.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They do: index of the user in the plan.
    User(usize),
    /// None, or none that convince: challenge. `stale` when only the nonce was too old.
    Challenge {
        /// RFC 7616 section 3.3.
        stale: bool,
    },
}

/// As UAS (401) or as proxy (407).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// WWW-Authenticate and Authorization.
    Server,
    /// Proxy-Authenticate and Proxy-Authorization.
    Proxy,
}

/// Checks the credentials for `realm`.
#[must_use]
pub fn check(site: &Site, nonces: &mut Nonces, now: Time, request: &Message<'_>, role: As, realm: &[u8]) -> Verdict {
    let name = match role {
        As::Server => Name::Authorization,
        As::Proxy => Name::ProxyAuthorization,
    };
    let mut stale = false;
    // A phone that knows several realms sends several; more than a few are not worth hashing.
    for value in request.headers(name).take(MOST_CREDENTIALS) {
        let Ok(credentials) = Credentials::parse(value) else { continue };
        if credentials.realm != realm {
            continue;
        }
        let user = site.user_index(credentials.username);
        let known = user.and_then(|index| site.plan.users.get(index));
        let offered = known.and_then(|user| user.digest.as_deref()).unwrap_or(&site.plan.sip.digest);
        let password = known.map_or(NOBODYS_PASSWORD, |user| user.password.as_str());
        let ha1 = Ha1::new(credentials.algorithm, credentials.username, realm, password.as_bytes());
        let right = digest::verify(credentials.algorithm, &ha1, &credentials, request.method_text());
        let Some(user) = user else { continue };
        // RFC 7616 section 3.4.3: the digest URI names the resource. Phones differ from the
        // Request-URI in port and parameters, so only an empty one is refused.
        if !right || !offered.contains(&credentials.algorithm) || credentials.uri.is_empty() {
            continue;
        }
        match nonces.check(now, credentials.nonce, credentials.nc) {
            NonceVerdict::Fresh => return Verdict::User(user),
            NonceVerdict::Stale | NonceVerdict::Replayed => stale = true,
            NonceVerdict::Forged => {}
        }
    }
    Verdict::Challenge { stale }
}

/// Sends the challenge, without a transaction (RFC 3261 section 26.3.2.4).
pub fn challenge(turn: &mut Turn<'_, '_>, request: &Message<'_>, path: &Path, role: As, realm: &[u8], stale: bool) {
    let (status, name) = match role {
        As::Server => (401, "WWW-Authenticate"),
        As::Proxy => (407, "Proxy-Authenticate"),
    };
    let mut nonce = turn.core.scratch.take();
    turn.core.nonces.issue(turn.cx.now, &mut nonce);
    let site = turn.core.site.clone();
    let offered: &[DigestAlgorithm] = claimed_user(&site, request).unwrap_or(&site.plan.sip.digest);
    let mut values = [turn.core.scratch.take(), turn.core.scratch.take()];
    for (value, algorithm) in values.iter_mut().zip(offered) {
        digest::challenge(value, realm, &nonce, *algorithm, stale);
    }
    let count = offered.len().min(values.len());
    let headers = [(name, &values[0][..]), (name, &values[1][..])];
    let tag = turn.stateless_tag(request);
    let reply = Reply { status, headers: headers.get(..count).unwrap_or(&[]), to_tag: &tag, ..Reply::of(status) };
    turn.respond_stateless(request, path, &reply);
    let [first, second] = values;
    for octets in [nonce, first, second] {
        turn.core.scratch.give(octets);
    }
}

/// A user may be limited to some algorithms (an old phone that knows MD5 only). Unknown users get
/// the site's list, which is also what an unlimited user gets.
fn claimed_user<'s>(site: &'s Site, request: &Message<'_>) -> Option<&'s [DigestAlgorithm]> {
    let uri = crate::protocol::sip::Uri::parse(request.from().uri).ok()?;
    site.user(uri.user)?.digest.as_deref()
}

const MOST_CREDENTIALS: usize = 4;
/// Hashed when there is no such user, so that the time tells nothing.
const NOBODYS_PASSWORD: &str = "no such user, but the same work";
