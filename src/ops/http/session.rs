//! Who is signed in. Everything here is bounded: sessions, and wrong tries a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Sessions at one time; the oldest gives way.
const SESSIONS: usize = 64;
/// A session ends this long after the sign-in.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Wrong tokens a second, from everywhere together.
const TRIES: u32 = 5;

/// 256 random bits in hexadecimal.
fn random_id() -> String {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares in a time that depends on the lengths only.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0u8, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differences) == 0 && one.len() == other.len()
}

/// What became of a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// Too many wrong ones in this second: not even looked at.
    TooMany,
}

pub(super) struct Sessions {
    token: Vec<u8>,
    open: VecDeque<(String, Instant)>,
    /// Wrong tries in the second that began at the instant.
    wrong: (Instant, u32),
}

impl Sessions {
    pub(super) fn new(token: &str) -> Self {
        Self {
            token: token.into(),
            open: VecDeque::new(),
            wrong: (Instant::now(), 0),
        }
    }

    /// Looks at a token.
    pub(super) fn check(&mut self, token: &[u8], now: Instant) -> Verdict {
        if now.duration_since(self.wrong.0) >= Duration::from_secs(1) {
            self.wrong = (now, 0);
        }
        if self.wrong.1 >= TRIES {
            return Verdict::TooMany;
        }
        // An empty token (a mistake in the set-up) opens nothing.
        if !self.token.is_empty() && same(token, &self.token) {
            return Verdict::Right;
        }
        self.wrong.1 += 1;
        Verdict::Wrong
    }

    /// Opens a session and gives its identifier.
    pub(super) fn open(&mut self, now: Instant) -> String {
        if self.open.len() == SESSIONS {
            self.open.pop_front();
        }
        let id = random_id();
        self.open.push_back((id.clone(), now));
        id
    }

    /// Whether a session is open.
    pub(super) fn is_open(&mut self, id: &str, now: Instant) -> bool {
        self.open.retain(|(_, opened)| now.duration_since(*opened) < LIFETIME);
        self.open
            .iter()
            .fold(false, |found, (open, _)| found | same(open.as_bytes(), id.as_bytes()))
    }

    /// Ends a session.
    pub(super) fn close(&mut self, id: &str) {
        self.open.retain(|(open, _)| open != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_wrong_tries_a_second_then_nothing_is_looked_at() {
        let mut sessions = Sessions::new("secret");
        let now = Instant::now();
        for wrong in ["", "s", "secre", "secrets", "SECRET"] {
            assert_eq!(sessions.check(wrong.as_bytes(), now), Verdict::Wrong, "{wrong}");
        }
        assert_eq!(sessions.check(b"secret", now), Verdict::TooMany);
        assert_eq!(sessions.check(b"secret", now + Duration::from_secs(1)), Verdict::Right);
    }

    #[test]
    fn an_empty_token_opens_nothing() {
        assert_eq!(Sessions::new("").check(b"", Instant::now()), Verdict::Wrong);
    }

    #[test]
    fn sessions_are_bounded_and_end() {
        let mut sessions = Sessions::new("secret");
        let now = Instant::now();
        let first = sessions.open(now);
        assert!(sessions.is_open(&first, now) && !sessions.is_open("", now));
        assert!(!sessions.is_open(&first, now + LIFETIME));
        let first = sessions.open(now);
        let others: Vec<_> = (0..SESSIONS).map(|_| sessions.open(now)).collect();
        assert!(!sessions.is_open(&first, now), "the oldest gives way");
        assert!(others.iter().all(|id| id.len() == 64 && sessions.is_open(id, now)));
        sessions.close(&others[0]);
        assert!(!sessions.is_open(&others[0], now));
    }
}
