//! Digest admission: who is asking, and the challenge when we do not know.
//!
//! An unknown user and a wrong password take the same path, cost the same hashes and get the
//! same answer (CVE-2011-2536).

use super::core::{Core, Turn};
use super::site::Site;
use crate::config::plan::DigestAlgorithm;
use crate::protocol::Path;
use crate::protocol::sip::digest::{self, Credentials, NonceVerdict, Nonces};
use crate::protocol::sip::{Message, Name, Reply, Uri};
use shards::Time;

/// Whether credentials convince.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They do: index of the user in the plan.
    User(usize),
    /// They did once: right for this user of the plan, but their count was seen before. A challenge is due
    /// (`stale`), except to a request that is told for a repetition by other means.
    Repeated(usize),
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
    let mut repeated = None;
    // A phone that knows several realms sends several; more than a few are not worth hashing.
    for value in request.headers(name).take(MOST_CREDENTIALS) {
        let Ok(credentials) = Credentials::parse(value) else {
            continue;
        };
        if credentials.realm != realm {
            continue;
        }
        let algorithm = credentials.algorithm;
        let user = site.user_index(credentials.username);
        // None too when the user is not offered this algorithm.
        let ha1 = user.and_then(|user| site.secrets.ha1(user, realm, algorithm));
        let computed_with = ha1.unwrap_or_else(|| site.secrets.nobodys(algorithm));
        let ha2 = site.secrets.ha2(algorithm, request.method_text(), credentials.uri);
        let right = digest::verify(algorithm, computed_with, &credentials, &ha2);
        let (Some(user), Some(_)) = (user, ha1) else { continue };
        // RFC 7616 section 3.4.3: the digest URI names the resource. Phones differ from the
        // Request-URI in port and parameters, so only an empty one is refused.
        if !right || credentials.uri.is_empty() {
            continue;
        }
        match nonces.check(now, credentials.nonce, credentials.nc) {
            NonceVerdict::Fresh => return Verdict::User(user),
            NonceVerdict::Replayed => repeated = Some(user),
            NonceVerdict::Stale => stale = true,
            NonceVerdict::Forged => {}
        }
    }
    repeated.map_or(Verdict::Challenge { stale }, Verdict::Repeated)
}

/// Sends the challenge, without a transaction (RFC 3261 section 26.3.2.4).
pub fn challenge(turn: &mut Turn<'_, '_>, request: &Message<'_>, path: &Path, role: As, realm: &[u8], stale: bool) {
    let (status, name) = match role {
        As::Server => (401, "WWW-Authenticate"),
        As::Proxy => (407, "Proxy-Authenticate"),
    };
    let Core {
        site, nonces, scratch, ..
    } = &mut *turn.core;
    let mut nonce = scratch.take();
    nonces.issue(turn.cx.now, &mut nonce);
    let offered = offered(site, request);
    let mut values = [scratch.take(), scratch.take()];
    for (value, algorithm) in values.iter_mut().zip(offered) {
        digest::challenge(value, realm, &nonce, *algorithm, stale);
    }
    let count = offered.len().min(values.len());
    let headers = [(name, &values[0][..]), (name, &values[1][..])];
    let tag = turn.stateless_tag(request);
    let reply = Reply {
        status,
        headers: headers.get(..count).unwrap_or(&[]),
        to_tag: &tag,
        ..Reply::of(status)
    };
    turn.respond_stateless(request, path, &reply);
    let [first, second] = values;
    for octets in [nonce, first, second] {
        turn.core.scratch.give(octets);
    }
}

/// A user may be limited to some algorithms. Unknown users get the site's list, which is also what
/// an unlimited user gets. Phones that give up at anything but MD5 get MD5 alone.
fn offered<'s>(site: &'s Site, request: &Message<'_>) -> &'s [DigestAlgorithm] {
    let sip = &site.plan.sip;
    let claimed = || Uri::parse(request.from().uri).ok().and_then(|uri| site.user(uri.user));
    let own = site.secrets.has_own_lists().then(claimed).flatten();
    let list = own.and_then(|user| user.digest.as_deref()).unwrap_or(&sip.digest);
    let agent = request.header(Name::UserAgent).unwrap_or(b"");
    let old = sip.md5_agents.iter().any(|start| agent.starts_with(start.as_bytes()));
    if old && list.contains(&DigestAlgorithm::Md5) {
        &[DigestAlgorithm::Md5]
    } else {
        list
    }
}

const MOST_CREDENTIALS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::User;
    use crate::protocol::sip::digest::{Ha1, ha2, response};
    use crate::protocol::sip::{Carrier, Spans, parse};
    use crate::switch::keyed::Keyed;

    const REALM: &[u8] = b"campus.example";
    const NOW: Time = Time::from_millis(5000);

    fn site() -> Site {
        let mut plan = crate::config::demonstration("nowhere".into(), Vec::new());
        plan.sip.domains = vec!["campus.example".into()];
        plan.sip.digest = vec![DigestAlgorithm::Sha256, DigestAlgorithm::Md5];
        let user = |name: &str, digest| User {
            name: name.into(),
            password: "secret".into(),
            digest,
            display: None,
        };
        plan.users = vec![user("alice", None), user("bob", Some(vec![DigestAlgorithm::Sha256]))];
        Site::new(plan, &[], Keyed::new([7; 32]))
    }

    /// The verdict on a REGISTER whose credentials are made with `ha1`.
    fn verdict(site: &Site, user: &str, alg: DigestAlgorithm, ha1: &Ha1) -> Verdict {
        let mut nonces = Nonces::new([1; 32], 0, 16);
        let mut nonce = Vec::new();
        nonces.issue(NOW, &mut nonce);
        let name = match alg {
            DigestAlgorithm::Md5 => "MD5",
            DigestAlgorithm::Sha256 => "SHA-256",
        };
        let line = |proof: &str| {
            format!(
                "Digest username=\"{user}\", realm=\"campus.example\", nonce=\"{}\", uri=\"sip:campus.example\", \
                 algorithm={name}, qop=auth, nc=00000001, cnonce=\"c\", response=\"{proof}\"",
                String::from_utf8_lossy(&nonce)
            )
        };
        let blank = line(&"0".repeat(ha1.hex().as_bytes().len()));
        let credentials = Credentials::parse(blank.as_bytes()).expect("credentials");
        let proof = response(alg, ha1, &credentials, &ha2(alg, b"REGISTER", credentials.uri));
        let request = format!(
            "REGISTER sip:campus.example SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=f\r\n\
             To: <sip:a@b>\r\nCall-ID: i\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nAuthorization: {}\r\n\r\n",
            line(proof.as_str())
        );
        let mut spans = Spans::default();
        let request = parse(request.as_bytes(), &mut spans, Carrier::Datagram).expect("a request");
        check(site, &mut nonces, NOW, &request, As::Server, REALM)
    }

    #[test]
    fn only_an_offered_algorithm_and_the_right_password_convince() {
        let site = site();
        let challenge = Verdict::Challenge { stale: false };
        let (md5, sha256) = (DigestAlgorithm::Md5, DigestAlgorithm::Sha256);
        for (user, alg, password, want) in [
            ("alice", md5, "secret", Verdict::User(0)),
            ("alice", sha256, "secret", Verdict::User(0)),
            ("bob", sha256, "secret", Verdict::User(1)),
            ("bob", md5, "secret", challenge),
            ("alice", md5, "Secret", challenge),
            ("alice", sha256, "", challenge),
            ("carol", md5, "secret", challenge),
        ] {
            let ha1 = Ha1::new(alg, user.as_bytes(), REALM, password.as_bytes());
            assert_eq!(verdict(&site, user, alg, &ha1), want, "{user} {alg:?} {password:?}");
        }
    }

    #[test]
    fn what_is_computed_for_nobody_convinces_nobody() {
        let site = site();
        for alg in [DigestAlgorithm::Md5, DigestAlgorithm::Sha256] {
            for user in ["alice", "bob", "carol"] {
                let challenge = Verdict::Challenge { stale: false };
                assert_eq!(
                    verdict(&site, user, alg, site.secrets.nobodys(alg)),
                    challenge,
                    "{user}"
                );
            }
        }
    }

    #[test]
    fn a_users_own_list_is_offered() {
        let offered_to = |site: &Site, user: &str| {
            let text = format!(
                "REGISTER sip:campus.example SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:{user}@b>;tag=f\r\n\
                 To: <sip:a@b>\r\nCall-ID: i\r\nCSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n\r\n"
            );
            let mut spans = Spans::default();
            let request = parse(text.as_bytes(), &mut spans, Carrier::Datagram).expect("a request");
            offered(site, &request).to_vec()
        };
        let site = site();
        let both = [DigestAlgorithm::Sha256, DigestAlgorithm::Md5];
        assert_eq!(offered_to(&site, "alice"), both);
        assert_eq!(offered_to(&site, "bob"), [DigestAlgorithm::Sha256]);
        assert_eq!(offered_to(&site, "carol"), both);
        let mut plan = site.plan.clone();
        plan.users.retain(|user| user.digest.is_none());
        let site = Site::new(plan, &[], Keyed::new([7; 32]));
        assert_eq!(offered_to(&site, "alice"), both);
    }
}
