//! CVE-2020-28361: headers of trust from a sender that is not trusted are taken out, however they
//! are spelt.

use super::support::{SDP, proxied, relayed, request, siege};
use ringfort::config::Plan;
use ringfort::config::plan::RouteAuth;
use ringfort_sim::siege::{CALLER, Siege};

const TRUSTED: [&str; 5] = [
    "P-Asserted-Identity",
    "Remote-Party-ID",
    "Diversion",
    "History-Info",
    "Identity",
];

/// All ways to write one header line.
fn spellings(name: &str) -> Vec<String> {
    let value = "<sip:ceo@evil.example>;smuggled";
    let mixed: String = name
        .chars()
        .enumerate()
        .map(|(at, c)| {
            if at % 2 == 0 {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    let mut found = vec![
        format!("{name}: {value}"),
        format!("{}: {value}", name.to_ascii_lowercase()),
        format!("{}: {value}", name.to_ascii_uppercase()),
        format!("{mixed}:{value}"),
        format!("{name} : {value}"),
        format!("{name}\t: {value}"),
        format!("{name} \t \t:{value}"),
        format!("{name}:\r\n {value}"),
        format!("{name}:\r\n\t{value}"),
        format!("{name} :\r\n \r\n {value}"),
        format!("{name}\r\n : {value}"),
        format!("{name}\0: {value}"),
        format!("\0{name}: {value}"),
        format!("{name}: x\r\n{name}: {value}"),
        format!("X: y\r\n{name}: {value}"),
        format!("X: y\n{name}: {value}"),
        format!("X: y\r{name}: {value}"),
        format!(" {name}: {value}"),
    ];
    if name == "Identity" {
        found.push(format!("y: {value}"));
        found.push(format!("Y : {value}"));
    }
    found
}

fn open(plan: &mut Plan) {
    // Anybody may call over the route, and so nobody's word is trusted.
    proxied(plan);
}

fn open_relayed(plan: &mut Plan) {
    relayed(plan);
}

/// No octet of it comes out as a header, whoever the next hop is: users and trunks alike.
#[test]
fn row15_trust_headers_in_every_spelling() {
    for (change, own) in [(open as fn(&mut Plan), "proxied"), (open_relayed, "relayed")] {
        let mut siege = siege(15, change, false);
        siege.stage.reload(|plan| plan.routes[0].auth = RouteAuth::Open);
        let mut number = 0;
        let mut passed = 0;
        for name in TRUSTED {
            for line in spellings(name) {
                number += 1;
                // A number that is no user's takes the open route.
                let text = request(&siege, "INVITE", number, &format!("{line}\r\n"), "application/sdp", SDP);
                let text = text.replace(&siege.number.clone(), "0123");
                siege.stage.world.with_endpoint(siege.stranger, |_, cx| {
                    cx.send(
                        ringfort_sim::siege::STRANGER,
                        ringfort_sim::stage::SERVER,
                        text.as_bytes(),
                    );
                });
                siege.stage.run(20);
                for heard in siege.called() {
                    let sent = String::from_utf8_lossy(&heard).into_owned();
                    passed += usize::from(sent.starts_with("INVITE "));
                    let header = sent.split("\r\n\r\n").next().unwrap_or("");
                    let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
                    for line in unfolded.split(['\r', '\n']) {
                        let start = line
                            .split(':')
                            .next()
                            .unwrap_or("")
                            .trim_matches(|c: char| c.is_whitespace() || c == '\0');
                        let known = TRUSTED.iter().any(|name| start.eq_ignore_ascii_case(name))
                            || start.eq_ignore_ascii_case("y");
                        assert!(!(known && line.contains("smuggled")), "{own}: {line:?} of {text}");
                    }
                }
                siege
                    .call()
                    .unwrap_or_else(|missing| panic!("after {line:?}: {missing}"));
            }
        }
        assert!(passed > 50, "{own}: only {passed} were passed on");
        let left = siege.rest();
        assert!(left.is_empty(), "{left:#?}");
    }
}

/// From a trusted peer they pass, else the test above would test nothing.
#[test]
fn row15_a_trusted_peer_may() {
    for change in [relayed as fn(&mut Plan), proxied] {
        let mut siege: Siege = siege(16, change, true);
        let text = request(
            &siege,
            "INVITE",
            1,
            "P-Asserted-Identity : <sip:ceo@evil.example>;smuggled\r\n",
            "application/sdp",
            SDP,
        );
        siege.stage.world.with_endpoint(siege.stranger, |_, cx| {
            cx.send(
                ringfort_sim::siege::STRANGER,
                ringfort_sim::stage::SERVER,
                text.as_bytes(),
            );
        });
        siege.stage.run(20);
        let heard = siege.called().concat();
        assert!(String::from_utf8_lossy(&heard).contains("smuggled"), "{CALLER}");
    }
}
