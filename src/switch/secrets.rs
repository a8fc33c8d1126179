//! What the site knows of its users' passwords: H(user ":" realm ":" password) for each user, realm
//! and offered algorithm, computed when the configuration is read and not with each request.
//!
//! 34 octets each: a site of 37,000 users, one realm and two algorithms keeps 2.5 MB, once for all
//! shards.

use crate::config::plan::{DigestAlgorithm, Plan};
use crate::protocol::sip::digest::Ha1;

/// One site's table. A reload makes a new one, so that it cannot outlive a password.
#[derive(Debug)]
pub struct Secrets {
    realms: Vec<Box<[u8]>>,
    /// By user, then by realm, then by algorithm; `None` where the user is not offered it.
    table: Vec<Option<Ha1>>,
    nobodys: [Ha1; ALGORITHMS.len()],
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
        Self { realms, table, nobodys }
    }

    /// By the user's index in the plan.
    #[must_use]
    pub fn ha1(&self, user: usize, realm: &[u8], algorithm: DigestAlgorithm) -> Option<&Ha1> {
        let realm = self.realms.iter().position(|known| **known == *realm)?;
        let at = (user * self.realms.len() + realm) * ALGORITHMS.len() + place(algorithm);
        self.table.get(at)?.as_ref()
    }

    /// Of no user.
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
