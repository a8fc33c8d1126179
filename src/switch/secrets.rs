//! What the site knows of its users' passwords: H(user ":" realm ":" password) for each user, realm
//! and offered algorithm, computed when the configuration is read and not with each request.
//!
//! 34 octets each: a site of 37,000 users, one realm and two algorithms keeps 2.5 MB, once for all
//! shards. Beside them what is the same for all phones that register as RFC 3261 section 10.2 says:
//! H("REGISTER" ":" "sip:" domain).

use crate::config::plan::{DigestAlgorithm, Plan};
use crate::protocol::sip::digest::{self, Ha1, HexDigest};

/// One site's table. A reload makes a new one, so that it cannot outlive a password.
#[derive(Debug)]
pub struct Secrets {
    realms: Vec<Box<[u8]>>,
    /// By user, then by realm, then by algorithm; `None` where the user is not offered it.
    table: Vec<Option<Ha1>>,
    nobodys: [Ha1; ALGORITHMS.len()],
    /// By realm, then by algorithm.
    registers: Vec<HexDigest>,
    own_lists: bool,
}

impl Secrets {
    /// Of the plan's users; `first` is the realm of a site without domains.
    #[must_use]
    pub fn new(plan: &Plan, first: &[u8]) -> Self {
        let mut realms: Vec<Box<[u8]>> = plan.sip.domains.iter().map(|domain| domain.as_bytes().into()).collect();
        if realms.is_empty() {
            realms.push(first.into());
        }
        let mut table = Vec::with_capacity(plan.users.len() * realms.len() * ALGORITHMS.len());
        for user in &plan.users {
            let offered = user.digest.as_deref().unwrap_or(&plan.sip.digest);
            for realm in &realms {
                table.extend(ALGORITHMS.map(|algorithm| {
                    let (name, password) = (user.name.as_bytes(), user.password.as_bytes());
                    offered
                        .contains(&algorithm)
                        .then(|| Ha1::new(algorithm, name, realm, password))
                }));
            }
        }
        let nobodys = ALGORITHMS.map(|algorithm| Ha1::new(algorithm, b"", first, NOBODYS_PASSWORD));
        let mut registers = Vec::new();
        for realm in &realms {
            let uri = [SIP, realm].concat();
            registers.extend(ALGORITHMS.map(|algorithm| digest::ha2(algorithm, REGISTER, &uri)));
        }
        Self {
            realms,
            table,
            nobodys,
            registers,
            own_lists: plan.users.iter().any(|user| user.digest.is_some()),
        }
    }

    /// Whether some user is offered other algorithms than the site's.
    #[must_use]
    pub fn has_own_lists(&self) -> bool {
        self.own_lists
    }

    /// HA2, looked up when it is that of a REGISTER for the realm itself.
    #[must_use]
    pub fn ha2(&self, algorithm: DigestAlgorithm, method: &[u8], uri: &[u8]) -> HexDigest {
        let known = uri
            .strip_prefix(SIP)
            .filter(|_| method == REGISTER)
            .and_then(|host| self.realms.iter().position(|realm| **realm == *host))
            .and_then(|realm| self.registers.get(realm * ALGORITHMS.len() + place(algorithm)));
        match known {
            Some(known) => *known,
            None => digest::ha2(algorithm, method, uri),
        }
    }

    /// By the user's index in the plan; `None` for an algorithm that the user is not offered, and
    /// for a realm that is not ours.
    #[must_use]
    pub fn ha1(&self, user: usize, realm: &[u8], algorithm: DigestAlgorithm) -> Option<&Ha1> {
        let realm = self.realms.iter().position(|known| **known == *realm)?;
        let at = (user * self.realms.len() + realm) * ALGORITHMS.len() + place(algorithm);
        self.table.get(at)?.as_ref()
    }

    /// To compute with when there is no such user, so that the time tells nothing.
    #[must_use]
    pub fn nobodys(&self, algorithm: DigestAlgorithm) -> &Ha1 {
        &self.nobodys[place(algorithm)]
    }
}

const ALGORITHMS: [DigestAlgorithm; 2] = [DigestAlgorithm::Sha256, DigestAlgorithm::Md5];

/// Its index in [`ALGORITHMS`].
const fn place(algorithm: DigestAlgorithm) -> usize {
    match algorithm {
        DigestAlgorithm::Sha256 => 0,
        DigestAlgorithm::Md5 => 1,
    }
}

const SIP: &[u8] = b"sip:";
const REGISTER: &[u8] = b"REGISTER";
const NOBODYS_PASSWORD: &[u8] = b"no such user, but the same work";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::User;

    fn plan(password: &str) -> Plan {
        let mut plan = crate::config::demonstration("nowhere".into(), Vec::new());
        plan.sip.domains = vec!["one.example".into(), "two.example".into()];
        plan.sip.digest = ALGORITHMS.to_vec();
        let user = |name: &str, digest| User {
            name: name.into(),
            password: password.into(),
            digest,
            display: None,
        };
        plan.users = vec![user("alice", None), user("bob", Some(vec![DigestAlgorithm::Md5]))];
        plan
    }

    #[test]
    fn each_user_realm_and_algorithm_has_its_own() {
        let secrets = Secrets::new(&plan("secret"), b"one.example");
        for (index, user) in ["alice", "bob"].into_iter().enumerate() {
            for realm in ["one.example", "two.example"] {
                for algorithm in ALGORITHMS {
                    let want = Ha1::new(algorithm, user.as_bytes(), realm.as_bytes(), b"secret");
                    let offered = user == "alice" || algorithm == DigestAlgorithm::Md5;
                    let got = secrets.ha1(index, realm.as_bytes(), algorithm);
                    assert_eq!(got, offered.then_some(&want), "{user} {realm} {algorithm:?}");
                    assert_ne!(got, Some(secrets.nobodys(algorithm)));
                }
            }
            assert_eq!(secrets.ha1(index, b"three.example", DigestAlgorithm::Md5), None);
        }
        assert_eq!(secrets.ha1(2, b"one.example", DigestAlgorithm::Md5), None);
    }

    #[test]
    fn what_is_looked_up_is_what_would_be_computed() {
        let secrets = Secrets::new(&plan("secret"), b"one.example");
        for algorithm in ALGORITHMS {
            for method in ["REGISTER", "register", "INVITE", ""] {
                for uri in [
                    "sip:one.example",
                    "sip:two.example",
                    "sip:",
                    "SIP:one.example",
                    "sip:one.example:5060",
                ] {
                    let (method, uri) = (method.as_bytes(), uri.as_bytes());
                    assert_eq!(secrets.ha2(algorithm, method, uri), digest::ha2(algorithm, method, uri));
                }
            }
        }
    }

    #[test]
    fn a_site_without_domains_has_one_realm() {
        let mut plan = plan("secret");
        plan.sip.domains.clear();
        let secrets = Secrets::new(&plan, b"ringfort");
        let want = Ha1::new(DigestAlgorithm::Md5, b"bob", b"ringfort", b"secret");
        assert_eq!(secrets.ha1(1, b"ringfort", DigestAlgorithm::Md5), Some(&want));
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Option<Ha1>>() <= 34);
    }
}
