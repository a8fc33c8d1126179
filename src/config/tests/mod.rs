//! Whole files in, plans or messages out.

mod mistakes;

use crate::config::demonstration::demonstration_on;
use crate::config::machine::Machine;
use crate::config::plan::{CallPolicy, DigestAlgorithm, Learn, MediaPath, Mode, RouteAuth};
use crate::config::{Resolved, resolve};
use crate::protocol::Transport;
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

const MACHINE: Machine = Machine {
    cores: 2,
    descriptors: 20_000,
    locked_octets: 8 << 20,
};

/// The example of the interface's description, as it stands there.
const EXAMPLE: &str = r#"
[sip]
listen  = ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]   # also tls:, ws:, wss: and [::1]
domains = ["campus.example", "127.0.0.1"]                # what we are the registrar of; each is a realm
digest  = ["sha-256", "md5"]                             # algorithms offered, in this order; a user may override
[media]
address = "127.0.0.1"          # the address that SDP shows; a list multiplies the ports; may be set per listener
ports   = "20000-39999"        # RTP and RTCP, split over the shards
[http]
listen  = "127.0.0.1:8080"     # web interface, REST, /metrics
[shards]
count   = 2                    # default: one for each core
[limits]
calls = 20000
registrations = 200000
[[user]]                       # small sites and tests; the directory in the store otherwise
name     = "1001"
password = "secret"
[[trunk]]
name    = "carrier"
targets = ["udp:127.0.0.1:5080"]        # in order; SRV names allowed
trusted = ["127.0.0.1/32"]              # calls from here need no digest
[[route]]                      # first match wins; users of the domain are found before routes
match   = "^2[0-9]{3}$"
to      = ["trunk:carrier"]
mode    = "proxy"              # proxy | b2bua | redirect
media   = "direct"             # direct | relay   (b2bua defaults to relay)
auth    = "digest"             # digest | trusted (only callers on a trusted address of a trunk) | open (anyone)
"#;

fn resolved(text: &str) -> Result<Resolved, Vec<String>> {
    let result = resolve::resolve(text, Path::new("ringfort.toml"), "data".into(), &MACHINE);
    result.map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

fn fine(text: &str) -> Resolved {
    resolved(text).unwrap_or_else(|errors| panic!("{text}\n{}", errors.join("\n")))
}

fn warnings(text: &str) -> Vec<String> {
    fine(text).warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_of_the_interface() {
    let Resolved { plan, warnings } = fine(EXAMPLE);
    let listeners: Vec<_> = plan
        .sip
        .listeners
        .iter()
        .map(|l| (l.transport, l.advertised.as_str()))
        .collect();
    assert_eq!(
        listeners,
        [(Transport::Udp, "127.0.0.1:5060"), (Transport::Tcp, "127.0.0.1:5060")]
    );
    assert_eq!(plan.sip.domains, ["campus.example", "127.0.0.1"]);
    assert_eq!(plan.sip.digest, [DigestAlgorithm::Sha256, DigestAlgorithm::Md5]);
    assert_eq!(plan.media.ports, (20_000, 39_999));
    assert_eq!(plan.http.listen, Some("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(plan.http.token_file, Path::new("data/token"));
    assert_eq!(
        (plan.shards, plan.limits.calls, plan.limits.registrations),
        (2, 20_000, 200_000)
    );
    assert_eq!(plan.limits.drain, Duration::from_secs(10));
    assert_eq!(
        (plan.users[0].name.as_str(), plan.users[0].password.as_str()),
        ("1001", "secret")
    );
    assert!(plan.trunks[0].trusted[0].contains("127.0.0.1".parse().unwrap()));
    let route = &plan.routes[0];
    assert!(route.pattern.is_match(b"2345") && !route.pattern.is_match(b"12345"));
    assert_eq!(
        route.policy,
        CallPolicy {
            mode: Mode::Proxy,
            media: MediaPath::Direct
        }
    );
    assert_eq!(
        (&route.trunks[..], route.auth, route.line),
        (&[0][..], RouteAuth::Digest, 23)
    );
    assert_eq!(
        plan.local,
        CallPolicy {
            mode: Mode::B2bua,
            media: MediaPath::Relay
        }
    );
    assert_eq!(plan.emergency.numbers, ["911", "112", "999"]);
    assert_eq!(plan.services.echo.as_deref(), Some("9196"));
    assert_eq!(plan.services.music.as_deref(), Some("9664"));
    assert!(!plan.fault_injection && !plan.demonstration);
    // 20,000 ports carry 5,000 relayed calls; proxied calls may still reach the limit.
    let texts: Vec<&str> = warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("calls to 911, 112, 999 lead nowhere"), "{texts:?}");
    assert!(texts[1].contains("relayed calls end at 5000"), "{texts:?}");
}

#[test]
fn an_empty_file_is_a_loopback_registrar() {
    let plan = fine("").plan;
    assert_eq!(plan.sip.listeners.len(), 2);
    assert_eq!(plan.sip.domains, ["127.0.0.1"]);
    assert_eq!(plan.media.addresses, ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(plan.shards, 2);
    assert_eq!(plan.limits.calls, 5_000);
    assert_eq!(plan.media.learn, Learn::Nat);
}

#[test]
fn listeners_with_tables_and_ipv6() {
    let text = r#"
[sip]
listen = [
  { address = "udp:0.0.0.0:5060", advertise = "sip.campus.example", media = ["127.0.0.2"] },
  { address = "tcp:[::1]:5070", advertise = "192.0.2.1:5071" },
  "udp:[::1]:5062",
]
domains = "campus.example"
[media]
address = ["127.0.0.1", "::1"]
advertise = ["192.0.2.1", "2001:db8::1"]
"#;
    let plan = fine(text).plan;
    let shown: Vec<_> = plan
        .sip
        .listeners
        .iter()
        .map(|listener| listener.advertised.as_str())
        .collect();
    assert_eq!(shown, ["sip.campus.example:5060", "192.0.2.1:5071", "[::1]:5062"]);
    let ips = |texts: &[&str]| -> Vec<std::net::IpAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    assert_eq!(plan.media.addresses, ips(&["127.0.0.1", "::1", "127.0.0.2"]));
    assert_eq!(plan.media.advertised, ips(&["192.0.2.1", "2001:db8::1", "127.0.0.2"]));
    assert_eq!(plan.sip.listeners[0].media, ips(&["127.0.0.2"]));
    assert_eq!(plan.sip.listeners[1].media, ips(&["127.0.0.1", "::1"]));
}

#[test]
fn udp_and_tcp_share_a_port_and_wildcards_cover() {
    let with = |list: &str| {
        resolved(&format!(
            "[sip]\ndomains = \"a.example\"\nlisten = [{list}]\n[media]\naddress = \"127.0.0.1\"\n"
        ))
    };
    let wild = |address: &str| format!("{{ address = \"{address}\", advertise = \"192.0.2.1\" }}");
    assert!(with("\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\"").is_ok());
    assert!(with("\"udp:127.0.0.1:5060\", \"udp:127.0.0.1:5062\"").is_ok());
    assert!(with(&format!("\"udp:127.0.0.1:5060\", {}", wild("udp:0.0.0.0:5060"))).is_err());
    assert!(with(&format!("{}, \"udp:127.0.0.1:5060\"", wild("udp:[::]:5060"))).is_err());
    assert!(with(&format!("\"udp:[::1]:5060\", {}", wild("udp:0.0.0.0:5060"))).is_ok());
}

#[test]
fn b2bua_relays_and_the_others_do_not() {
    let route = |keys: &str| {
        let text = format!(
            "[[trunk]]\nname = \"a\"\ntargets = \"udp:192.0.2.1\"\n[[route]]\nmatch = \"^1$\"\nto = \"trunk:a\"\n{keys}"
        );
        fine(&text).plan.routes[0].policy
    };
    assert_eq!(
        route(""),
        CallPolicy {
            mode: Mode::Proxy,
            media: MediaPath::Direct
        }
    );
    assert_eq!(
        route("mode = \"b2bua\""),
        CallPolicy {
            mode: Mode::B2bua,
            media: MediaPath::Relay
        }
    );
    assert_eq!(
        route("mode = \"b2bua\"\nmedia = \"direct\""),
        CallPolicy {
            mode: Mode::B2bua,
            media: MediaPath::Direct
        }
    );
    assert_eq!(
        route("mode = \"redirect\""),
        CallPolicy {
            mode: Mode::Redirect,
            media: MediaPath::Direct
        }
    );
}

#[test]
fn services_and_the_web_page_can_be_switched_off() {
    let plan = fine("[services]\necho = false\nmusic = \"\"\n[http]\nlisten = false\ntoken_file = \"/etc/t\"\n").plan;
    assert_eq!(
        (plan.services.echo, plan.services.music, plan.http.listen),
        (None, None, None)
    );
    assert_eq!(plan.http.token_file, Path::new("/etc/t"));
}

#[test]
fn warnings_name_their_line() {
    let trunk = "[[trunk]]\nname = \"a\"\ntargets = \"udp:192.0.2.1\"\n";
    for (text, warning) in [
        (
            "[shards]\ncount = 3\n".to_owned(),
            "ringfort.toml:2: shards.count: 3 shards share 2 cores",
        ),
        (
            format!("{trunk}trusted = \"0.0.0.0/0\"\n"),
            "ringfort.toml:4: trunk.trusted: 0.0.0.0/0 trusts everyone",
        ),
        (
            "[[trunk]]\nname = \"a\"\ntargets = \"udp:a.example\"\n".into(),
            "ringfort.toml:3: trunk.targets: the name a.example is not resolved",
        ),
        (
            format!("{trunk}[[route]]\nmatch = \"1\"\nto = \"trunk:a\"\n"),
            "ringfort.toml:5: route.match: without ^ and $",
        ),
        (
            format!("{trunk}[[route]]\nmatch = \"^1$\"\nto = \"trunk:a\"\nauth = \"open\"\n"),
            "ringfort.toml:7: route.auth: anyone",
        ),
        (
            "[sip]\nlisten = \"udp:[::1]:5060\"\n[media]\naddress = \"127.0.0.1\"\n".into(),
            "ringfort.toml:2: sip.listen: [::1]:5060 has no media address of its family",
        ),
        (
            "[sip.timers]\nc_seconds = 60\n".into(),
            "ringfort.toml:1: sip.timers.c_seconds",
        ),
        (
            "[media]\nports = \"5000-9999\"\n".into(),
            "ringfort.toml:2: media.ports: \"5000-9999\" includes the port of the listener udp:127.0.0.1:5060",
        ),
    ] {
        let mut found = warnings(&text);
        found.retain(|line| !line.contains("emergency.numbers"));
        assert!(
            found.len() == 1 && found[0].starts_with(warning),
            "{text}\nwant {warning}\ngot  {found:#?}"
        );
    }
}

#[test]
fn emergency_numbers_that_reach_no_trunk_are_told() {
    let trunk = "[[trunk]]\nname = \"a\"\ntargets = \"udp:192.0.2.1\"\n";
    let route = "[[route]]\nmatch = \"^9[0-9]{2}$\"\nto = \"trunk:a\"\n";
    let lost = |text: &str| -> Vec<String> {
        let mut found = warnings(text);
        found.retain(|line| line.contains("emergency.numbers"));
        found
    };
    assert_eq!(lost(""), [""; 0], "without a trunk there is nowhere to lead them");
    let found = lost(&format!("{trunk}{route}[emergency]\n"));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("ringfort.toml:7: emergency.numbers: calls to 112 lead nowhere"),
        "{found:?}"
    );
    assert_eq!(lost(&format!("{trunk}[emergency]\ntrunks = \"a\"\n")), [""; 0]);
}

#[test]
fn a_limit_that_the_ports_cannot_carry_is_lowered() {
    let Resolved { plan, warnings } = fine("[limits]\ncalls = 6000\n");
    assert_eq!(plan.limits.calls, 5_000);
    assert!(
        warnings[0].text.contains("6000 relayed calls need 24000 ports")
            && warnings[0].text.contains("lowered to 5000"),
        "{}",
        warnings[0]
    );
    // A second address doubles the ports.
    let plan = fine("[limits]\ncalls = 6000\n[media]\naddress = [\"127.0.0.1\", \"127.0.0.2\"]\n").plan;
    assert_eq!(plan.limits.calls, 6_000);
    // Nothing relayed needs no ports.
    assert_eq!(
        fine("[limits]\ncalls = 6000\n[local]\nmode = \"proxy\"\n")
            .plan
            .limits
            .calls,
        6_000
    );
}

#[test]
fn the_arithmetic_names_the_first_wall() {
    let wall = |text: &str, descriptors| {
        let lines = fine(text).plan.arithmetic_on(&Machine { descriptors, ..MACHINE });
        lines.last().cloned().unwrap_or_default()
    };
    let calls = "[limits]\ncalls = 4000\n";
    assert!(
        wall(calls, 20_000).starts_with("first wall: limits.calls at 4000"),
        "{}",
        wall(calls, 20_000)
    );
    assert!(
        wall(EXAMPLE, 20_000).starts_with("first wall: ports at 5000"),
        "{}",
        wall(EXAMPLE, 20_000)
    );
    // (1,024 - 64) / 4 calls a ring, two rings.
    assert!(
        wall(EXAMPLE, 1_024).starts_with("first wall: descriptors at 480"),
        "{}",
        wall(EXAMPLE, 1_024)
    );
    assert!(
        wall("", 20_000).starts_with("first wall: ports at 5000"),
        "{}",
        wall("", 20_000)
    );
    let lines = fine("").plan.arithmetic_on(&MACHINE);
    assert!(
        lines
            .iter()
            .any(|line| line == "ports rest 2 s after a call: at most 2500 short relayed calls a second"),
        "{lines:#?}"
    );
}

#[test]
fn too_few_files_are_told_with_the_number_that_is_enough() {
    let shortage = |text: &str, descriptors| fine(text).plan.shortage_on(&Machine { descriptors, ..MACHINE });
    assert_eq!(shortage("", 20_000), None);
    assert_eq!(
        shortage("", 1_024).as_deref(),
        Some(
            "RLIMIT_NOFILE 1024 carries 480 of 5000 relayed calls: raise it with `ulimit -Hn 10064` (as root) or LimitNOFILE=10064"
        )
    );
    assert_eq!(shortage("", 10_064), None, "what is advised is enough");
    assert_eq!(shortage("[local]\nmode = \"proxy\"", 64), None);
}

#[test]
fn the_demonstration() {
    let plan = demonstration_on(&MACHINE, "d".into(), Vec::new());
    assert_eq!(plan.sip.domains, ["127.0.0.1", "localhost", "ringfort.example"]);
    assert!(
        plan.sip
            .listeners
            .iter()
            .all(|listener| listener.address.ip().is_loopback())
    );
    assert!(plan.demonstration && !plan.fault_injection && plan.shards == 2);
    assert_eq!(plan.http.listen.map(|listen| listen.ip().is_loopback()), Some(true));
    assert_eq!(plan.limits.calls, 5_000);
}

#[test]
fn a_missing_file_says_so() {
    let errors = crate::config::load(Path::new("/nowhere/ringfort.toml"), None).unwrap_err();
    assert!(
        errors
            .to_string()
            .starts_with("/nowhere/ringfort.toml: found no readable file"),
        "{errors}"
    );
}

/// A value of any kind where the example has one, and damage anywhere.
fn damaged() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<String>().prop_map(|text| format!("{text:?}")),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("[[[{ a = 1 }]]]".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("\"udp:[::1]:5060\"".to_owned()),
        Just("nan".to_owned()),
    ];
    let lines: Vec<String> = EXAMPLE.lines().map(String::from).collect();
    (0..lines.len(), value, 0..lines.len()).prop_map(move |(line, value, dropped)| {
        let mut lines = lines.clone();
        if let Some((key, _)) = lines[line].clone().split_once('=') {
            lines[line] = format!("{key}= {value}");
        }
        lines.remove(dropped);
        lines.join("\n")
    })
}

proptest! {
    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        let _ = resolved(&text);
    }

    #[test]
    fn any_toml_like_text_is_survived(text in "([\\[\\]{}=\"'#,.\n a-f0-9_-]|sip|listen|user|\\[\\[|\\]\\]){0,80}") {
        let _ = resolved(&text);
    }

    #[test]
    fn a_damaged_example_gives_a_plan_or_messages_with_lines(text in damaged()) {
        if let Err(errors) = resolve::resolve(&text, Path::new("f"), "d".into(), &MACHINE) {
            prop_assert!(!errors.0.is_empty());
            for error in errors.0 {
                prop_assert!(error.line >= 1 && error.line as usize <= text.lines().count() + 1, "{error}");
            }
        }
    }
}
