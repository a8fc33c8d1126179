use super::*;
use crate::config::Plan;
use crate::config::plan::{Host, Route, Target as TrunkTarget, Trunk, User};
use crate::protocol::Transport;
use crate::protocol::sip::{Carrier, Spans, parse};
use crate::switch::keyed::Keyed;
use crate::switch::target::Target;
use shards::{ConnId, ListenerId};
use std::net::SocketAddr;

const PHONE: &str = "127.0.0.9:5070";
const TRUNK: &str = "127.0.0.8:5060";
const RELAYED: CallPolicy = CallPolicy {
    mode: Mode::B2bua,
    media: MediaPath::Relay,
};
const PROXIED: CallPolicy = CallPolicy {
    mode: Mode::Proxy,
    media: MediaPath::Direct,
};

fn path(peer: &str) -> Path {
    Path {
        transport: Transport::Udp,
        listener: ListenerId(0),
        peer: peer.parse().unwrap(),
        conn: ConnId::NONE,
    }
}

fn route(pattern: &str, auth: RouteAuth, policy: CallPolicy) -> Route {
    Route {
        pattern: regex::bytes::Regex::new(pattern).unwrap(),
        trunks: vec![0],
        policy,
        auth,
        line: 1,
    }
}

/// Users 1001 to 1009, a trunk, and a route of each kind.
fn plan() -> Plan {
    let mut plan = crate::config::demonstration("nowhere".into(), Vec::new());
    plan.sip.domains = vec!["ringfort.example".into()];
    plan.local = PROXIED;
    plan.users = (1001..1010)
        .map(|number| User {
            name: number.to_string(),
            password: "x".into(),
            digest: None,
            display: None,
        })
        .collect();
    plan.trunks = vec![Trunk {
        name: "exchange".into(),
        targets: vec![TrunkTarget {
            transport: Transport::Udp,
            host: Host::Ip([127, 0, 0, 8].into()),
            port: Some(5060),
        }],
        trusted: Vec::new(),
    }];
    plan.routes = vec![
        route("^0900", RouteAuth::Digest, PROXIED),
        route("^0800", RouteAuth::Open, PROXIED),
        route("^0700", RouteAuth::Trusted, PROXIED),
        route("^0600", RouteAuth::Open, RELAYED),
        route(
            "^0500",
            RouteAuth::Open,
            CallPolicy {
                mode: Mode::Redirect,
                media: MediaPath::Direct,
            },
        ),
    ];
    plan
}

/// What a test lets happen.
struct Scene {
    site: Site,
    redirects: Redirects,
    has: CallPolicy,
    from: Path,
    uri: &'static str,
    asked: Vec<(u8, String)>,
}

impl Scene {
    fn new(proven: bool, trusted: bool) -> Self {
        Self::of(plan(), "sip:1001@ringfort.example", proven, trusted)
    }

    fn of(plan: Plan, uri: &'static str, proven: bool, trusted: bool) -> Self {
        let bound: Vec<SocketAddr> = plan.sip.listeners.iter().map(|listener| listener.address).collect();
        let site = Site::new(plan, &bound, Keyed::new([7; 32]));
        let redirects = with(&invite(uri), |request| Redirects::new(&site, request, proven, trusted));
        Self {
            site,
            redirects,
            has: PROXIED,
            from: path(PHONE),
            uri,
            asked: Vec::new(),
        }
    }

    fn hears(&mut self, response: &str) -> Followed {
        let (uri, redirects, asked) = (self.uri, &mut self.redirects, &mut self.asked);
        with(&invite(uri), |request| {
            with(response, |response| {
                let case = Case {
                    site: &self.site,
                    request,
                    response,
                    from: &self.from,
                    has: self.has,
                    until: Time::from_millis(32_000),
                };
                redirects.follow(&case, &mut Scratch::default(), &mut |redirection, aor| {
                    asked.push((redirection, String::from_utf8_lossy(aor).into_owned()))
                })
            })
        })
    }

    /// Whether one Contact is followed.
    fn follows(&mut self, contact: &str) -> bool {
        self.hears(&moved(&[contact])).is_all()
    }
}

fn with<R>(text: &str, work: impl FnOnce(&Message<'_>) -> R) -> R {
    let mut spans = Spans::default();
    work(&parse(text.as_bytes(), &mut spans, Carrier::Datagram).expect("it parses"))
}

fn invite(uri: &str) -> String {
    message(&format!("INVITE {uri} SIP/2.0"), "", "INVITE")
}

fn moved(contacts: &[&str]) -> String {
    let lines: String = contacts
        .iter()
        .map(|contact| format!("Contact: {contact}\r\n"))
        .collect();
    message("SIP/2.0 302 Moved Temporarily", &lines, "INVITE")
}

fn message(start: &str, lines: &str, method: &str) -> String {
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n\
         Call-ID: x\r\nCSeq: 1 {method}\r\n{lines}Content-Length: 0\r\n\r\n"
    )
}

fn set(uri: &str, qs: &[u16]) -> TargetSet {
    let mut set = TargetSet::default();
    for &q in qs {
        set.push(&Target {
            uri: uri.as_bytes(),
            route: b"",
            path: path(PHONE),
            q,
            flow: false,
        });
    }
    set
}

#[test]
fn contacts_by_preference() {
    let text = moved(&[
        "<sip:a@h>;q=0.2, <sip:b@h>",
        "\"C, D\" <sip:c@h>;q=0.9;expires=60",
        "sip:d@h;q=0.2",
    ]);
    with(&text, |response| {
        let (contacts, count) = read(response);
        let uris: Vec<_> = contacts
            .iter()
            .take(count)
            .map(|contact| (contact.uri, contact.place))
            .collect();
        assert_eq!(
            uris,
            [(&b"sip:b@h"[..], 1), (b"sip:c@h", 2), (b"sip:a@h", 0), (b"sip:d@h", 3)]
        );
    });
}

#[test]
fn what_cannot_be_read_is_not_followed() {
    for bad in [
        "*",
        "<>",
        "<sip:>",
        "<sip:@ringfort.example>",
        "<sip:1002@ringfort.example",
        "\"open <sip:1002@ringfort.example>",
        "<sip:1002@ringfort.example>;;q=",
        "<sip:1002@ringfort.example:99999>",
        "<:1002>",
        "nothing",
        ",",
        ", ,",
    ] {
        let mut scene = Scene::new(true, true);
        assert!(scene.hears(&moved(&[bad])).is_none(), "{bad}");
        assert!(scene.asked.is_empty() && !scene.redirects.is_waiting(), "{bad}");
    }
    // No Contact at all.
    assert!(Scene::new(true, true).hears(&moved(&[])).is_none());
}

#[test]
fn a_huge_list_costs_eight_looks_and_five_redirections() {
    let mut list: Vec<String> = (0..2000)
        .map(|number| format!("<sip:x{number}@nowhere.example>"))
        .collect();
    list.extend((1001..1010).map(|number| format!("<sip:{number}@ringfort.example>")));
    let all: Vec<&str> = list.iter().map(String::as_str).collect();
    let mut scene = Scene::new(true, true);
    assert!(
        scene.hears(&moved(&[&all.join(", ")])).is_none(),
        "none of the first eight is ours"
    );

    let users: Vec<&str> = all
        .iter()
        .rev()
        .take(8)
        .rev()
        .copied()
        .chain(all.iter().copied())
        .collect();
    let followed = scene.hears(&moved(&[&users.join(", ")]));
    assert!(!followed.is_none() && !followed.is_all());
    let asked: Vec<_> = scene.asked.iter().map(|(_, aor)| aor.as_str()).collect();
    assert_eq!(asked, ["1002", "1003", "1004", "1005", "1006"]);
    // And that was all for this request.
    assert!(!scene.redirects.may_follow(302));
    assert!(scene.hears(&moved(&["<sip:1009@ringfort.example>"])).is_none());
    assert_eq!(scene.asked.len(), 5);
}

#[test]
fn where_the_callee_may_send_whom() {
    let (nobody, user, trusted) = ((false, false), (true, false), (true, true));
    for (contact, who) in [
        ("<sip:1002@ringfort.example>", &[nobody, user, trusted][..]),
        (
            "<sip:%31002@RINGFORT.example;transport=tcp?Replaces=x>",
            &[nobody, user, trusted],
        ),
        ("<sip:0800123@ringfort.example>", &[nobody, user, trusted]),
        ("<tel:0-800-123>", &[nobody, user, trusted]),
        ("<sip:0900123@ringfort.example>", &[user, trusted]),
        ("<tel:0900-123>", &[user, trusted]),
        ("<sip:0700123@ringfort.example>", &[trusted]),
        // Other roles, services, emergency calls, nobody, this server, and everywhere else.
        ("<sip:0600123@ringfort.example>", &[]),
        ("<sip:0500123@ringfort.example>", &[]),
        ("<sip:9196@ringfort.example>", &[]),
        ("<sip:112@ringfort.example>", &[]),
        ("<urn:service:sos>", &[]),
        ("<sip:4711@ringfort.example>", &[]),
        ("<sip:ringfort.example>", &[]),
        ("<sip:1002@elsewhere.example>", &[]),
        ("<sip:1002@192.0.2.1:5060>", &[]),
        ("<mailto:1002@ringfort.example>", &[]),
        ("<http://ringfort.example/1002>", &[]),
    ] {
        for (proven, trust) in [nobody, user, trusted] {
            let follows = Scene::new(proven, trust).follows(contact);
            assert_eq!(follows, who.contains(&(proven, trust)), "{contact} {proven} {trust}");
        }
    }
}

#[test]
fn nobody_beyond_a_trunk_leads_over_our_trunks() {
    for (contact, follows) in [
        ("<sip:0900123@ringfort.example>", false),
        ("<sip:0700123@ringfort.example>", false),
        ("<sip:0800123@ringfort.example>", true),
        ("<sip:1002@ringfort.example>", true),
    ] {
        let mut scene = Scene::new(true, true);
        scene.from = path(TRUNK);
        assert_eq!(scene.follows(contact), follows, "{contact}");
    }
}

#[test]
fn a_call_that_is_relayed_may_go_where_that_is_asked_for() {
    let mut scene = Scene::new(true, true);
    scene.has = RELAYED;
    assert!(scene.follows("<sip:0600123@ringfort.example>"));
    assert!(scene.follows("<sip:1002@ringfort.example>"));
    scene.has.media = MediaPath::Direct;
    assert!(!scene.follows("<sip:06001234@ringfort.example>"));
}

#[test]
fn a_sips_call_is_led_to_sips_only() {
    for (contact, follows) in [
        ("<sip:1002@ringfort.example>", false),
        ("<tel:0800123>", false),
        ("<sips:1002@ringfort.example>", true),
    ] {
        let mut scene = Scene::of(plan(), "sips:1001@ringfort.example", true, true);
        assert_eq!(scene.follows(contact), follows, "{contact}");
    }
}

#[test]
fn a_circle_ends() {
    let mut scene = Scene::new(true, true);
    assert!(scene.follows("<sip:1001@ringfort.example>"), "it is done with");
    assert!(scene.asked.is_empty(), "but nobody is asked again");
    assert!(scene.follows("<sip:1002@ringfort.example>"));
    assert!(scene.follows("<sip:1001@ringfort.example>, <sip:1002@ringfort.example>"));
    assert_eq!(scene.asked, [(1, "1002".to_owned())]);
}

#[test]
fn only_an_invite_that_opens_and_only_these_statuses() {
    let scene = Scene::new(true, true);
    for (status, follows) in [
        (300, true),
        (301, true),
        (302, true),
        (305, false),
        (380, false),
        (399, false),
    ] {
        assert_eq!(scene.redirects.may_follow(status), follows, "{status}");
    }
    let site = &scene.site;
    let within = invite("sip:1001@ringfort.example").replace("To: <sip:c@d>", "To: <sip:c@d>;tag=2");
    let options = message("OPTIONS sip:1001@ringfort.example SIP/2.0", "", "OPTIONS");
    for text in [within, options] {
        with(&text, |request| {
            assert!(!Redirects::new(site, request, true, true).may_follow(302), "{text}")
        });
    }
    let mut plan = plan();
    plan.sip.follow_redirects = false;
    let off = Scene::of(plan, "sip:1001@ringfort.example", true, true);
    assert!(!off.redirects.may_follow(302));
}

#[test]
fn what_was_not_followed_stays_in_the_response() {
    let mut scene = Scene::new(false, false);
    let text = moved(&[
        "<sip:x@elsewhere.example>;q=0.1, <sip:1002@ringfort.example>",
        "\"A, B\" <sip:y@elsewhere.example>",
    ]);
    let followed = scene.hears(&text);
    let mut rest = Vec::new();
    with(&text, |response| followed.write_rest(&mut rest, response));
    with(&String::from_utf8(rest).unwrap(), |rest| {
        assert_eq!((rest.status(), rest.reason()), (302, &b"Moved Temporarily"[..]));
        let contacts: Vec<_> = rest.values(Name::Contact).collect();
        assert_eq!(
            contacts,
            [
                &b"<sip:x@elsewhere.example>;q=0.1"[..],
                b"\"A, B\" <sip:y@elsewhere.example>"
            ]
        );
        assert_eq!(rest.call_id(), b"x");
    });
}

#[test]
fn targets_in_order_once_all_are_known() {
    let mut scene = Scene::new(true, true);
    scene.hears(&moved(&[
        "<sip:1002@ringfort.example>;q=0.5",
        "<sip:1003@ringfort.example>",
        "<sip:1004@ringfort.example>;q=0.5",
    ]));
    let asked: Vec<_> = scene.asked.iter().map(|(_, aor)| aor.as_str()).collect();
    assert_eq!(asked, ["1003", "1002", "1004"]);
    assert!(scene.redirects.is_waiting() && scene.redirects.until() == Time::from_millis(32_000));
    assert!(scene.redirects.located(3, set("sip:c", &[1000])));
    assert!(scene.redirects.located(2, set("sip:b", &[1000, 300])));
    assert!(
        !scene.redirects.located(2, set("sip:again", &[1])),
        "nobody waits for it twice"
    );
    assert!(!scene.redirects.located(0, TargetSet::default()) && !scene.redirects.located(200, TargetSet::default()));
    let rest = scene
        .redirects
        .take(set("sip:rest", &[1000, 1000]))
        .expect_err("one is missing");
    assert!(scene.redirects.located(1, set("sip:a", &[1000])) && !scene.redirects.is_waiting());
    let (mut targets, trunks) = scene.redirects.take(rest).expect("targets");
    assert!(!trunks);
    let mut groups = Vec::new();
    while let group @ 1.. = targets.group() {
        let names = (0..group).map(|_| {
            let name = targets
                .peek()
                .map(|target| String::from_utf8_lossy(target.uri).into_owned());
            targets.skip();
            name.unwrap()
        });
        groups.push(names.collect::<Vec<_>>().join(" "));
    }
    assert_eq!(groups, ["sip:a", "sip:b sip:c", "sip:b", "sip:rest sip:rest"]);
    assert!(
        scene.redirects.take(TargetSet::default()).is_err(),
        "they are given once"
    );
}

#[test]
fn trunks_need_no_look_up_and_lost_answers_are_not_awaited_for_ever() {
    let mut scene = Scene::new(true, true);
    assert!(scene.follows("<sip:0900123@ringfort.example>"));
    assert!(!scene.redirects.is_waiting());
    let (targets, trunks) = scene.redirects.take(TargetSet::default()).expect("a trunk");
    assert!(
        trunks
            && targets
                .peek()
                .is_some_and(|target| target.path.peer.to_string() == TRUNK)
    );

    assert!(scene.follows("<sip:1002@ringfort.example>"));
    assert!(!scene.redirects.give_up(Time::from_millis(31_000)) && scene.redirects.is_waiting());
    assert!(scene.redirects.give_up(Time::from_millis(32_000)) && !scene.redirects.is_waiting());
    assert!(!scene.redirects.located(2, set("sip:late", &[1])));
    assert!(scene.redirects.take(TargetSet::default()).is_err());

    assert!(scene.follows("<sip:1003@ringfort.example>"));
    assert!(scene.redirects.stop() && !scene.redirects.stop());
    assert!(!scene.redirects.may_follow(302));
}
