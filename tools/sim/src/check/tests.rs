//! Each rule finds what breaks it, and lets pass what does not.

use super::*;

const SERVER: &str = "10.0.0.1:5060";
const CALLER: &str = "10.0.1.1:5060";
const CALLEE: &str = "10.0.1.2:5060";

struct Bench(Checker, u64);

impl Bench {
    fn new(proxy: bool) -> Self {
        Self(
            Checker::new(Role {
                server: SERVER.parse().expect("an address"),
                proxy,
                sheds: false,
                grace: Duration::from_millis(1),
            }),
            0,
        )
    }

    fn message(start: &str, branch: &str, to_tag: &str, cseq: &str) -> String {
        let tag = if to_tag.is_empty() {
            String::new()
        } else {
            format!(";tag={to_tag}")
        };
        format!(
            "{start}\r\nVia: SIP/2.0/UDP {CALLER};branch={branch}\r\nFrom: <sip:a@x>;tag=f\r\nTo: <sip:b@x>{tag}\r\n\
             Call-ID: c\r\nCSeq: {cseq}\r\n\r\n"
        )
    }

    fn event(&mut self, from: &str, to: &str, octets: &str, sent: bool) {
        self.1 += 10;
        let (from, to) = (from.parse().expect("an address"), to.parse().expect("an address"));
        let octets = octets.as_bytes();
        let what = if sent {
            let fate = Fate::Whole;
            Happening::Sent { from, to, octets, fate }
        } else {
            let corrupted = false;
            Happening::Delivered {
                from,
                to,
                octets,
                corrupted,
            }
        };
        let at = Time::from_millis(self.1);
        self.0.observe(&Observed { at, what });
    }

    fn hears(&mut self, from: &str, start: &str, branch: &str, to_tag: &str, cseq: &str) -> &mut Self {
        self.event(from, SERVER, &Self::message(start, branch, to_tag, cseq), false);
        self
    }

    fn says(&mut self, to: &str, start: &str, branch: &str, to_tag: &str, cseq: &str) -> &mut Self {
        self.event(SERVER, to, &Self::message(start, branch, to_tag, cseq), true);
        self
    }

    fn verdict(self, records: &[&str]) -> String {
        let found = self.0.finish(Time::from_millis(1_000_000), records.iter().copied());
        found.iter().map(|violation| format!("{}\n", violation.text)).collect()
    }
}

const INVITE: &str = "INVITE sip:b@x SIP/2.0";
const ACK: &str = "ACK sip:b@x SIP/2.0";
const BYE: &str = "BYE sip:b@x SIP/2.0";
const CANCEL: &str = "CANCEL sip:b@x SIP/2.0";
const OK: &str = "SIP/2.0 200 OK";
const BUSY: &str = "SIP/2.0 486 Busy";
const RINGING: &str = "SIP/2.0 180 Ringing";

/// An answered call that ends as it should.
fn call(proxy: bool) -> Bench {
    let mut bench = Bench::new(proxy);
    bench
        .hears(CALLER, INVITE, "1", "", "1 INVITE")
        .says(CALLEE, INVITE, "s1", "", "1 INVITE")
        .hears(CALLEE, RINGING, "s1", "t", "1 INVITE")
        .says(CALLER, RINGING, "1", "t", "1 INVITE")
        .hears(CALLEE, OK, "s1", "t", "1 INVITE")
        .says(CALLER, OK, "1", "t", "1 INVITE");
    bench
}

fn end(bench: &mut Bench) {
    bench
        .says(CALLEE, ACK, "s2", "t", "1 ACK")
        .says(CALLEE, BYE, "s3", "t", "2 BYE")
        .hears(CALLEE, OK, "s3", "t", "2 BYE");
}

#[test]
fn a_call_as_it_should_be() {
    for proxy in [false, true] {
        let mut bench = call(proxy);
        bench.says(CALLER, OK, "1", "t", "1 INVITE");
        end(&mut bench);
        assert_eq!(bench.verdict(&["c"]), "");
    }
}

#[test]
fn final_responses() {
    let mut bench = Bench::new(false);
    bench.hears(CALLER, INVITE, "1", "", "1 INVITE");
    assert!(bench.verdict(&[]).contains("never got a final answer"));

    let mut bench = call(false);
    bench.says(CALLER, BUSY, "1", "t", "1 INVITE");
    end(&mut bench);
    assert!(bench.verdict(&["c"]).contains("486 of INVITE after 200"));

    // Two phones that answered: the proxy lets both pass, the B2BUA does not.
    for proxy in [false, true] {
        let mut bench = call(proxy);
        bench.says(CALLER, OK, "1", "t2", "1 INVITE");
        end(&mut bench);
        assert_eq!(bench.verdict(&["c"]).is_empty(), proxy);
    }

    let mut bench = call(false);
    bench.says(CALLER, OK, "1", "t", "1 INVITE\r\nX: y");
    end(&mut bench);
    assert!(bench.verdict(&["c"]).contains("sent again, but changed"));

    let mut bench = call(false);
    bench.says(CALLEE, OK, "1", "t", "1 INVITE");
    end(&mut bench);
    assert!(bench.verdict(&["c"]).contains("goes to 10.0.1.2"));

    let mut bench = Bench::new(false);
    bench.says(CALLER, OK, "9", "t", "1 INVITE");
    assert!(bench.verdict(&[]).contains("answers no INVITE"));
}

#[test]
fn records() {
    let mut bench = call(false);
    end(&mut bench);
    assert!(bench.verdict(&[]).contains("no record"));
    let mut bench = call(false);
    end(&mut bench);
    assert!(bench.verdict(&["c", "c"]).contains("two records"));
}

#[test]
fn acknowledgements() {
    let mut bench = call(false);
    bench
        .says(CALLEE, BYE, "s3", "t", "2 BYE")
        .hears(CALLEE, OK, "s3", "t", "2 BYE");
    assert!(bench.verdict(&["c"]).contains("never acknowledged"));

    let mut bench = call(false);
    bench.says(CALLEE, ACK, "s2", "other", "1 ACK");
    end(&mut bench);
    assert!(bench.verdict(&["c"]).contains("nobody answered that"));

    let failure = |tag: &str| {
        let mut bench = Bench::new(false);
        bench
            .says(CALLEE, INVITE, "s1", "", "1 INVITE")
            .hears(CALLEE, BUSY, "s1", "t", "1 INVITE")
            .says(CALLEE, ACK, "s1", tag, "1 ACK");
        bench.verdict(&[])
    };
    assert_eq!(failure("t"), "");
    assert!(failure("other").contains("does not fit"));
}

#[test]
fn ends() {
    let mut bench = call(false);
    bench.says(CALLEE, ACK, "s2", "t", "1 ACK");
    assert!(bench.verdict(&["c"]).contains("never ended"));

    let mut bench = call(false);
    bench
        .says(CALLEE, ACK, "s2", "t", "1 ACK")
        .says(CALLEE, BYE, "s3", "t", "1 BYE")
        .hears(CALLEE, OK, "s3", "t", "1 BYE");
    assert!(bench.verdict(&["c"]).contains("CSeq 1 after 1"));

    // A phone that is gone can end nothing; and after a crash nobody knows of it.
    let mut bench = call(false);
    bench.says(CALLER, OK, "1", "t", "1 INVITE");
    bench.0.gone(CALLEE.parse::<SocketAddr>().expect("an address").ip());
    assert_eq!(bench.verdict(&["c"]), "");
    let mut bench = call(false);
    let (at, what) = (Time::ZERO, Happening::Crashed(0));
    bench.0.observe(&Observed { at, what });
    assert_eq!(bench.verdict(&[]), "");
}

#[test]
fn what_is_not_acknowledged() {
    // A 2xx of the B2BUA that is sent once and never acknowledged; a failure that is not acknowledged.
    let bench = call(false);
    assert!(bench.verdict(&["c"]).contains("was not sent again"));
    let mut bench = Bench::new(false);
    bench
        .says(CALLEE, INVITE, "s1", "", "1 INVITE")
        .hears(CALLEE, BUSY, "s1", "t", "1 INVITE");
    assert!(
        bench
            .verdict(&[])
            .contains("failure of INVITE 1 was never acknowledged")
    );
}

#[test]
fn cancels() {
    let cancel = |heard: &str, start: &str, branch: &str, tag: &str| {
        let mut bench = Bench::new(false);
        bench.says(CALLEE, INVITE, "s1", "", "1 INVITE");
        if !heard.is_empty() {
            bench.hears(CALLEE, heard, "s1", "t", "1 INVITE");
        }
        bench.says(CALLEE, start, branch, tag, "1 CANCEL");
        bench.verdict(&[])
    };
    assert_eq!(cancel(RINGING, CANCEL, "s1", ""), "");
    assert!(cancel("", CANCEL, "s1", "").contains("before anything"));
    assert!(cancel(BUSY, CANCEL, "s1", "").contains("after the final"));
    assert!(cancel(RINGING, CANCEL, "s2", "").contains("no INVITE"));
    assert!(cancel(RINGING, CANCEL, "s1", "t").contains("another From or To"));
    assert!(cancel(RINGING, "CANCEL sip:c@x SIP/2.0", "s1", "").contains("another Request-URI"));
}
