//! CVE-2011-2536: whether an account exists is not told by status, headers or size of an answer. The
//! time is equal by construction (`switch::auth` computes with nobody's secret); its distribution is
//! what `perf/enumeration` looks at.

use super::support::{relayed, request, siege};
use ringfort_sim::siege::Siege;
use ringfort_sim::stage::DOMAIN;
use ringfort_sim::text;

/// The answer with what must differ between any two answers taken out.
fn bare(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer).into_owned();
    let mut out = String::new();
    for line in text.split_inclusive("\r\n") {
        match line.split(':').next().unwrap_or("") {
            // These repeat the request.
            "Via" | "From" | "Call-ID" | "CSeq" => {}
            "To" => out.push_str(&format!(
                "To of {} octets\r\n",
                text::parameter(line, "tag").unwrap_or("").trim().len()
            )),
            "WWW-Authenticate" | "Proxy-Authenticate" => {
                let nonce = text::challenge(
                    &line
                        .replace("WWW-Authenticate: ", "")
                        .replace("Proxy-Authenticate: ", ""),
                    "nonce",
                )
                .to_owned();
                assert!(!nonce.is_empty(), "{line}");
                out.push_str(&line.replace(&nonce, &"n".repeat(nonce.len())));
            }
            _ => out.push_str(line),
        }
    }
    out
}

fn nonce(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer).into_owned();
    let line = text
        .lines()
        .find(|line| line.contains("-Authenticate: ") && line.contains("MD5"))
        .expect("a challenge")
        .to_owned();
    let value = line.split_once(": ").map_or("", |(_, value)| value).to_owned();
    text::challenge(&value, "nonce").to_owned()
}

/// Unknown user, known user with a wrong password, known user with a wrong user name, without
/// credentials: for REGISTER and for INVITE.
#[test]
fn row29_the_same_answer_to_all() {
    let mut siege: Siege = siege(29, relayed, false);
    let known = siege.number.clone();
    // Of the same length, so that sizes can be compared.
    let unknown: String = known.chars().rev().collect();
    assert_ne!(known, unknown);
    let mut number = 0;
    for (method, header) in [("REGISTER", "Authorization"), ("INVITE", "Proxy-Authorization")] {
        let mut ask = |from: &str, credentials: &str| {
            number += 1;
            let number = 1000 + number;
            let text = request(&siege, method, number, credentials, "", "");
            let text = text.replace("<sip:mallory@", &format!("<sip:{from}@"));
            // A REGISTER is of its To.
            let text = if method == "REGISTER" {
                text.replace(&format!("To: <sip:{known}@"), &format!("To: <sip:{from}@"))
            } else {
                text
            };
            let heard = siege.datagram(text.as_bytes());
            assert_eq!(heard.len(), 1, "{method} of {from}");
            heard[0].clone()
        };
        let plain = [ask(&known, ""), ask(&unknown, "")];
        assert_eq!(bare(&plain[0]), bare(&plain[1]), "{method} without credentials");
        assert_eq!(plain[0].len(), plain[1].len());
        let mut answers = Vec::new();
        for (from, user) in [
            (&known, &known),
            (&unknown, &unknown),
            (&known, &unknown),
            (&unknown, &known),
        ] {
            let fresh = nonce(&ask(from, ""));
            let credentials = format!(
                "{header}: Digest username=\"{user}\", realm=\"{DOMAIN}\", nonce=\"{fresh}\", uri=\"sip:{DOMAIN}\", algorithm=MD5, \
                 qop=auth, nc=00000001, cnonce=\"c\", response=\"0123456789abcdef0123456789abcdef\"\r\n"
            );
            answers.push(ask(from, &credentials));
        }
        for answer in &answers {
            assert_eq!(bare(answer), bare(&answers[0]), "{method}");
            assert_eq!(answer.len(), answers[0].len(), "{method}");
            assert_eq!(Siege::statuses(answer), Siege::statuses(&plain[0]), "{method}");
        }
    }
}

/// Who is called is not told either: a stranger gets the same for a user, for nobody and for a route.
#[test]
fn row29_the_called_user_is_not_told() {
    let mut siege: Siege = siege(30, relayed, false);
    let known = siege.number.clone();
    for method in [
        "INVITE",
        "OPTIONS",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "PUBLISH",
        "INFO",
        "REFER",
    ] {
        let mut answers = Vec::new();
        for (number, called) in [known.clone(), known.chars().rev().collect()].into_iter().enumerate() {
            let text = request(&siege, method, number as u64, "", "", "").replace(&known, &called);
            let heard = siege.datagram(text.as_bytes());
            assert_eq!(heard.len(), 1, "{method}");
            answers.push(heard[0].clone());
        }
        assert_eq!(bare(&answers[0]), bare(&answers[1]), "{method}");
        assert_eq!(answers[0].len(), answers[1].len(), "{method}");
    }
}
