//! CVE-2020-26262: no address that a peer names in a description, Contact, Route, Record-Route or Via
//! makes the appliance send to "this network", loopback, link-local, multicast, broadcast or itself.

use super::support::{SDP, invite, proxied, relayed, request, siege};
use ringfort::config::plan::Host;
use ringfort_sim::phone::{Answer, Habits};
use ringfort_sim::siege::{CALLEE, STRANGER, Siege};
use ringfort_sim::stage::{DOMAIN, SERVER, Setup, Stage};
use ringfort_sim::stranger::{Manner, Stranger};
use ringfort_sim::text::{self, Text};
use shards::sim::{Happening, World};
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

const BAD: [&str; 13] = [
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "127.8.9.10",
    "169.254.1.1",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[fe80::1]",
    "[ff02::1]",
];

fn is_bad(to: SocketAddr) -> bool {
    let own = to.ip() == SERVER.ip();
    own || BAD.iter().any(|bad| {
        bad.trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip == to.ip().to_canonical())
    })
}

/// Notes every datagram of the appliance to an address that is bad.
fn watch(world: &mut World<ringfort::appliance::Appliance>) -> Rc<RefCell<Vec<String>>> {
    let found = Rc::new(RefCell::new(Vec::new()));
    let notes = found.clone();
    world.observe(Box::new(move |observed| {
        if let Happening::Sent { from, to, octets, .. } = observed.what
            && from.ip() == SERVER.ip()
            && is_bad(to)
        {
            let text = String::from_utf8_lossy(&octets[..octets.len().min(200)]).into_owned();
            notes.borrow_mut().push(format!("{from} to {to}: {text}"));
        }
    }));
    found
}

fn mirror(request: &Text, status: &str, extra: &str, body: &str) -> String {
    let mut head = format!("SIP/2.0 {status}\r\n");
    for (name, value) in &request.headers {
        match name.as_str() {
            "via" | "from" | "call-id" | "cseq" | "record-route" => head.push_str(&format!("{name}: {value}\r\n")),
            "to" if value.contains(";tag=") => head.push_str(&format!("To: {value}\r\n")),
            "to" => head.push_str(&format!("To: {value};tag=callee\r\n")),
            _ => {}
        }
    }
    format!(
        "{head}{extra}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn say(siege: &mut Siege, from: SocketAddr, text: &str) {
    siege
        .stage
        .world
        .with_endpoint(siege.stranger, |_, cx| cx.send(from, SERVER, text.as_bytes()));
    siege.stage.run(10);
}

/// Both ends of a call name nothing but bad addresses, in every header that is a way.
#[test]
fn row33_no_header_of_a_call_is_a_way_to_a_forbidden_address() {
    for change in [relayed as fn(&mut _), proxied] {
        let mut siege = siege(33, change, true);
        siege.silence();
        let found = watch(&mut siege.stage.world);
        let own = format!("{}", SERVER.ip());
        for (number, bad) in BAD.iter().copied().chain([&own[..]]).enumerate() {
            for port in ["", ":5060", ":9"] {
                let serial = number as u64 * 10 + port.len() as u64;
                let evil = format!("Contact: <sip:x@{bad}{port}>\r\n");
                let ways =
                    format!("Route: <sip:{SERVER};lr>, <sip:{bad}{port};lr>\r\nRecord-Route: <sip:{bad}{port};lr>\r\n");
                let sdp = SDP.replace("10.9.0.66", bad.trim_matches(['[', ']']));
                let call = invite(&siege, serial, &sdp);
                let contact = format!("Contact: <sip:mallory@{STRANGER}>\r\n");
                let call = call.replace(&contact, &format!("{evil}{ways}"));
                say(&mut siege, STRANGER, &call);
                let invited = siege.called().iter().filter_map(|octets| Text::parse(octets)).next();
                let Some(invited) = invited else { continue };
                // A 183, a redirection and the answer, each with a way of its own.
                let record = format!("{evil}Record-Route: <sip:{bad}{port};lr>\r\n");
                say(
                    &mut siege,
                    CALLEE,
                    &mirror(
                        &invited,
                        "183 Progress",
                        &format!("{record}Require: 100rel\r\nRSeq: 1\r\n"),
                        &sdp,
                    ),
                );
                say(&mut siege, CALLEE, &mirror(&invited, "200 OK", &record, &sdp));
                let answer = siege
                    .taken()
                    .iter()
                    .filter_map(|octets| Text::parse(octets))
                    .find(|text| text.status() == 200);
                for method in ["ACK", "INVITE", "UPDATE", "INFO", "BYE"] {
                    // The target: as the answer shows it, and the bad address itself.
                    let to = answer
                        .as_ref()
                        .map_or(String::new(), |answer| answer.one("to").to_owned());
                    let target = answer
                        .as_ref()
                        .map_or(String::new(), |answer| text::uri(answer.one("contact")).to_owned());
                    for uri in [format!("sip:x@{bad}{port}"), target.clone()] {
                        let text = request(&siege, method, serial, &ways, "application/sdp", SDP);
                        let uri = if uri.is_empty() {
                            format!("sip:x@{bad}{port}")
                        } else {
                            uri
                        };
                        let line = text.lines().next().unwrap_or("").to_owned();
                        let text = text
                            .replacen(&line, &format!("{method} {uri} SIP/2.0"), 1)
                            .replace(&format!("To: <sip:{}@{DOMAIN}>", siege.number), &format!("To: {to}"))
                            .replace("CSeq: 1 ", "CSeq: 2 ")
                            .replace("z9hG4bKx", &format!("z9hG4bKd{}", uri.len()));
                        say(&mut siege, STRANGER, &text);
                    }
                }
                // And the callee's way back.
                for method in ["INVITE", "BYE"] {
                    let text = format!(
                        "{method} sip:x@{bad}{port} SIP/2.0\r\nVia: SIP/2.0/UDP {bad}{port};branch=z9hG4bKc{serial}\r\nMax-Forwards: 70\r\nRoute: <sip:{SERVER};lr>\r\n\
                         Route: <sip:{bad}{port};lr>\r\nFrom: {};tag=callee\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 5 {method}\r\n{evil}Content-Length: 0\r\n\r\n",
                        invited.one("to"),
                        invited.one("from"),
                        invited.one("call-id"),
                    );
                    say(&mut siege, CALLEE, &text);
                }
            }
        }
        siege.stage.run(200_000);
        assert_eq!(*found.borrow(), Vec::<String>::new());
    }
}

/// Via: the answer goes to where the request came from, whatever sent-by, maddr and received say; and
/// a response nobody asked for goes nowhere.
#[test]
fn row33_via_sends_no_answer_elsewhere() {
    let mut siege = siege(34, relayed, false);
    let found = watch(&mut siege.stage.world);
    for (number, bad) in BAD.iter().enumerate() {
        for via in [
            bad.to_string(),
            format!("{bad}:9"),
            format!("h;maddr={bad}"),
            format!("h;received={bad}"),
            format!("h;received={bad};rport=9"),
            format!("{bad};maddr={bad};received={bad};rport=9"),
        ] {
            let text = invite(&siege, number as u64, SDP);
            let text = text.replace(&format!("SIP/2.0/UDP {STRANGER}"), &format!("SIP/2.0/UDP {via}"));
            say(&mut siege, STRANGER, &text);
            for top in [
                "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1",
                "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-r0000000000000000000000000000",
            ] {
                let text = format!(
                    "SIP/2.0 200 OK\r\nVia: {top}\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bK2\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n\
                     Call-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
                );
                say(&mut siege, STRANGER, &text);
            }
        }
    }
    siege.stage.run(60_000);
    assert_eq!(*found.borrow(), Vec::<String>::new());
}

/// REGISTER with such a Contact: the binding is reached where the phone registered from, or refused.
#[test]
fn row33_no_contact_of_a_binding_is_a_way_to_a_forbidden_address() {
    let own = SERVER.ip().to_string();
    for (seed, change) in [(35, relayed as fn(&mut _)), (36, proxied)] {
        let mut stage = Stage::new(Setup {
            seed,
            change,
            ..Setup::default()
        });
        let alice = stage.registered(
            "alice",
            Habits {
                patience: Some(Duration::from_secs(2)),
                ..Habits::default()
            },
        );
        let bob = stage.phone(
            "bob",
            Habits {
                answer: Answer::Busy,
                ..Habits::default()
            },
        );
        let found = watch(&mut stage.world);
        let number = stage.name("bob");
        for bad in BAD.iter().copied().chain([&own[..]]) {
            for port in ["", ":5060", ":9"] {
                let wish = format!("Contact: <sip:x@{bad}{port}>\nExpires: 600\n");
                stage.act(bob, |phone, cx| phone.send_register(cx, wish, ""));
                stage.run(1000);
                stage.act(alice, |phone, cx| phone.call(cx, &number));
                stage.run(5000);
                stage.act(bob, |phone, cx| {
                    phone.send_register(cx, "Contact: *\nExpires: 0\n".into(), "")
                });
                stage.run(1000);
            }
        }
        stage.run(200_000);
        assert_eq!(*found.borrow(), Vec::<String>::new());
        assert!(
            stage.look(bob).requests.iter().any(|method| method == "INVITE"),
            "the flow is used"
        );
    }
}

/// A description with such an address: the other side's audio goes nowhere.
#[test]
fn row33_no_audio_to_a_forbidden_address() {
    let mut siege = siege(37, relayed, true);
    let found = watch(&mut siege.stage.world);
    let own = SERVER.ip().to_string();
    for (number, bad) in BAD.iter().copied().chain([&own[..]]).enumerate() {
        let ip = bad.trim_matches(['[', ']']);
        let family = if ip.contains(':') { "IP6" } else { "IP4" };
        let sdp = SDP.replace("IN IP4 10.9.0.66", &format!("IN {family} {ip}"));
        let text = invite(&siege, number as u64, &sdp);
        say(&mut siege, STRANGER, &text);
        // The callee speaks to the port that it was told.
        let told: Vec<SocketAddr> = siege
            .called()
            .iter()
            .filter_map(|octets| Text::parse(octets))
            .filter_map(|text| ringfort_sim::text::audio(&text.body).0)
            .collect();
        for to in told {
            for sequence in 0..20u8 {
                let packet = [&[0x80, 0, 0, sequence, 0, 0, 0, 160, 1, 2, 3, 4][..], &[0x55; 160]].concat();
                let from = SocketAddr::new(CALLEE.ip(), 4000);
                siege
                    .stage
                    .world
                    .with_endpoint(siege.stranger, |_, cx| cx.send(from, to, &packet));
                siege.stage.run(5);
            }
        }
    }
    siege.stage.run(60_000);
    assert_eq!(*found.borrow(), Vec::<String>::new());
}

/// What a stranger may not name is still reached over the call: an end on our own link, called by the
/// configuration, shows its link-local address, and its BYE comes.
#[test]
fn row33_an_end_on_our_link_is_reached_over_its_call() {
    let link: SocketAddr = "169.254.1.1:5060".parse().expect("an address");
    for change in [relayed as fn(&mut _), proxied] {
        let mut siege = siege(38, change, true);
        siege.stage.reload(|plan| {
            let targets = plan.trunks.iter_mut().flat_map(|trunk| &mut trunk.targets);
            targets.for_each(|target| target.host = Host::Ip([169, 254, 1, 1].into()));
        });
        let end = Stranger::new(link, Manner::Answers(""));
        let end = siege.stage.world.add_endpoint(&[link], end);
        let call = invite(&siege, 1, SDP).replace(&siege.number.clone(), "0123");
        say(&mut siege, STRANGER, &call);
        let answers: Vec<Text> = siege.taken().iter().filter_map(|octets| Text::parse(octets)).collect();
        let answer = answers.iter().find(|text| text.status() == 200).expect("an answer");
        let mut routes = answer.list("record-route");
        routes.reverse();
        for method in ["ACK", "BYE"] {
            let target = text::uri(answer.one("contact"));
            let mut text = format!(
                "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {STRANGER};branch=z9hG4bKl{method}\r\nMax-Forwards: 70\r\n\
                 From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n",
                answer.one("from"),
                answer.one("to"),
                answer.one("call-id"),
                if method == "ACK" { 1 } else { 2 },
            );
            for route in routes.iter().filter(|route| !route.is_empty()) {
                text.push_str(&format!("Route: {route}\r\n"));
            }
            say(&mut siege, STRANGER, &format!("{text}Content-Length: 0\r\n\r\n"));
        }
        let heard = siege
            .stage
            .world
            .endpoint::<Stranger>(end)
            .map(|end| end.heard.concat());
        let heard = String::from_utf8_lossy(&heard.unwrap_or_default()).into_owned();
        assert!(heard.contains("\nCSeq: ") && heard.contains("BYE sip:"), "{heard}");
        let left = siege.rest();
        assert!(left.is_empty(), "{left:#?}");
    }
}
