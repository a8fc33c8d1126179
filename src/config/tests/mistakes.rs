//! Mistakes: each with its line, its key and what is expected; all of them at once.

use crate::config::tests::resolved;

/// One mistake a row: the text, and how its message begins after the file's name.
#[test]
fn each_mistake_has_its_line_key_and_expectation() {
    let user = "[[user]]\nname = \"1001\"\npassword = \"x\"\n";
    let trunk = "[[trunk]]\nname = \"a\"\ntargets = [\"udp:192.0.2.1\"]\n";
    for (text, message) in [
        (
            "[sip]\nlisten = \"udp:1.2.3\"",
            "2: sip.listen: found \"udp:1.2.3\", expected transport:address:port such as \"udp:127.0.0.1:5060\"",
        ),
        (
            "[sip]\nlisten = [\"udp:127.0.0.1:5060\",\n \"tls:127.0.0.1:5061\"]",
            "3: sip.listen: found \"tls:127.0.0.1:5061\", expected udp: or tcp: (tls:, ws: and wss: listeners are not served",
        ),
        (
            "[sip]\nlisten = 5060",
            "2: sip.listen: found 5060, expected transport:address:port",
        ),
        ("[sip]\nlisten = []", "2: sip.listen: found a list, expected 1 to 250"),
        (
            "[sip]\nlisten = [\"udp:127.0.0.1:5060\", \"udp:127.0.0.1:5060\"]",
            "2: sip.listen: found \"udp:127.0.0.1:5060\", expected an address that does not overlap",
        ),
        (
            "[sip]\nlisten = \"udp:0.0.0.0:5060\"\ndomains = \"a.example\"\n[media]\naddress = \"127.0.0.1\"",
            "2: sip.listen: found \"udp:0.0.0.0:5060\", expected one address, or a table",
        ),
        (
            "[sip]\nlisten = { advertise = \"a.example\" }",
            "2: sip.listen: found a table, expected the key `address`",
        ),
        (
            "[sip]\nlisten = { address = \"udp:127.0.0.1:5060\", advertize = \"a\" }",
            "2: sip.listen.advertize: found an unknown key, expected `advertise`",
        ),
        (
            "[sip]\nlisen = \"udp:127.0.0.1:5060\"",
            "2: sip.lisen: found an unknown key, expected `listen`",
        ),
        ("[spi]\n", "1: spi: found an unknown key, expected `sip`"),
        ("\nsip = 5", "2: sip: found 5, expected a table: [sip]"),
        (
            "[sip]\ndomains = [\"a.example\", \"A.example\"]",
            "2: sip.domains: found \"A.example\", expected each domain once",
        ),
        (
            "[sip]\ndomains = \"sip:a.example\"",
            "2: sip.domains: found \"sip:a.example\", expected a domain",
        ),
        (
            "[sip]\ndigest = [\"sha256\"]",
            "2: sip.digest: found \"sha256\", expected \"sha-256\" or \"md5\"",
        ),
        (
            "[sip]\ndigest = []",
            "2: sip.digest: found a list, expected at least one",
        ),
        (
            "[sip.timers]\nt1_ms = 0",
            "2: sip.timers.t1_ms: found 0, expected a whole number from 10 to 10000",
        ),
        (
            "[sip]\nmin_se = 20",
            "2: sip.min_se: found 20, expected a whole number from 90",
        ),
        (
            "[sip]\nproduct = \"a\\nEvil: b\"",
            "2: sip.product: found \"a\\nEvil: b\", expected printable",
        ),
        (
            "[media]\naddress = \"0.0.0.0\"",
            "2: media.address: found \"0.0.0.0\", expected an address of this host",
        ),
        (
            "[media]\nports = \"30000-20000\"",
            "2: media.ports: found \"30000-20000\", expected first-last",
        ),
        (
            "[media]\nports = \"80-90\"",
            "2: media.ports: found \"80-90\", expected first-last",
        ),
        (
            "[media]\nports = 20000",
            "2: media.ports: found 20000, expected first-last",
        ),
        (
            "[media]\nports = \"20000-20003\"",
            "2: media.ports: found \"20000-20003\", expected at least 8 ports for 2 shards",
        ),
        (
            "[media]\nadvertise = [\"192.0.2.1\", \"192.0.2.2\"]",
            "2: media.advertise: found a list, expected as many addresses as in media.address (1)",
        ),
        (
            "[media]\nxdp = [\"eth0\", \"eth/1\"]",
            "2: media.xdp: found \"eth/1\", expected a network device such as \"eth0\" (`ip link` shows them)",
        ),
        (
            "[media]\nxdp = [\"eth0\", \"eth0\"]",
            "2: media.xdp: found \"eth0\", expected each device once",
        ),
        (
            "[media]\nlearn = \"always\"",
            "2: media.learn: found \"always\", expected \"nat\" or \"never\"",
        ),
        (
            "[http]\nlisten = \"8080\"",
            "2: http.listen: found \"8080\", expected address:port",
        ),
        (
            "[shards]\ncount = 0",
            "2: shards.count: found 0, expected a whole number from 1 to 256",
        ),
        (
            "[limits]\ncalls = 0",
            "2: limits.calls: found 0, expected a whole number from 1",
        ),
        ("[limits]\ncalls = -5", "2: limits.calls: found -5"),
        (
            "[limits]\ncalls = 99999999999999999999",
            "2: limits.calls: found 99999999999999999999",
        ),
        ("[limits]\ncalls = 1.5", "2: limits.calls: found 1.5"),
        (
            "[registrar]\nmin_expires = 7200",
            "1: registrar: found min_expires 7200, default_expires 7200, max_expires 3600, expected min_expires <= default_expires <= max_expires",
        ),
        (
            "[local]\nmode = \"proxy\"\nmedia = \"relay\"",
            "3: local.media: found \"relay\", expected \"direct\" with this mode",
        ),
        (
            "[[user]]\nname = \"1001\"",
            "1: user.password: found nothing, expected a password",
        ),
        (
            "[[user]]\nname = \"1001\"\npassword = \"\"",
            "3: user.password: found something else, expected a password in quotes that is not empty",
        ),
        (
            "[[user]]\nname = \"a b\"\npassword = \"x\"",
            "2: user.name: found \"a b\", expected the user part",
        ),
        (
            &format!("{user}{user}"),
            "5: user.name: found \"1001\" a second time, expected each name once; the first is on line 2",
        ),
        (
            "[user]\nname = \"1001\"",
            "1: user: found a table, expected a list of tables: a line [[user]] before each user",
        ),
        (&format!("{trunk}{trunk}"), "5: trunk.name: found \"a\" a second time"),
        ("[[trunk]]\nname = \"a\"", "1: trunk.targets: found nothing"),
        (
            "[[trunk]]\nname = \"a\"\ntargets = [\"192.0.2.1\"]",
            "3: trunk.targets: found \"192.0.2.1\", expected transport:host",
        ),
        (
            &format!("{trunk}trusted = [\"10.0.0.0/33\"]"),
            "4: trunk.trusted: found \"10.0.0.0/33\", expected a prefix length from 0 to 32",
        ),
        (
            &format!("{trunk}trusted = [\"::/129\"]"),
            "4: trunk.trusted: found \"::/129\", expected a prefix length from 0 to 128",
        ),
        (
            &format!("{trunk}trusted = [\"10.1.2.3/8\"]"),
            "4: trunk.trusted: found \"10.1.2.3/8\", expected no bits beyond the prefix: \"10.0.0.0/8\"",
        ),
        (
            &format!("{trunk}[[route]]\nmatch = \"^1$\"\nto = [\"trunk:b\"]"),
            "6: route.to: found \"trunk:b\", expected \"trunk:a\"",
        ),
        (
            "[[route]]\nmatch = \"^1$\"\nto = [\"trunk:carrier\"]",
            "3: route.to: found \"trunk:carrier\", expected a trunk that is defined: there is no [[trunk]]",
        ),
        (
            "[[route]]\nmatch = \"^1$\"\nto = []",
            "3: route.to: found a list, expected at least one trunk",
        ),
        ("[[route]]\nmatch = \"^1$\"", "1: route.to: found nothing"),
        (
            &format!("{trunk}[[route]]\nto = [\"trunk:a\"]"),
            "4: route.match: found nothing",
        ),
        (
            &format!("{trunk}[[route]]\nmatch = \"^(1$\"\nto = [\"trunk:a\"]"),
            "5: route.match: found \"^(1$\", expected a regular expression (unclosed group)",
        ),
        (
            &format!("{trunk}[[route]]\nmatch = \"^(a{{1000}}){{1000}}$\"\nto = [\"trunk:a\"]"),
            "5: route.match: found ",
        ),
        (
            &format!("{trunk}[[route]]\nmatch = \"^1$\"\nto = [\"trunk:a\"]\nauth = \"none\""),
            "7: route.auth: found \"none\", expected \"digest\" or \"trusted\" or \"open\"",
        ),
        ("[emergency]\ntrunks = [\"a\"]", "2: emergency.trunks: found \"a\""),
        (
            "[emergency]\nnumbers = [\"911x\"]",
            "2: emergency.numbers: found \"911x\", expected digits",
        ),
        (
            "[services]\necho = \"7\"\nmusic = \"7\"",
            "3: services.music: found \"7\", expected another number than services.echo",
        ),
        (
            "[services]\necho = \"911\"",
            "2: services.echo: found \"911\", also an emergency number",
        ),
        (
            "[services]\necho = \"1001\"\n[[user]]\nname = \"1001\"\npassword = \"x\"",
            "4: user.name: found \"1001\", also services.echo",
        ),
        (
            "[testing]\nfault_injection = \"yes\"",
            "2: testing.fault_injection: found \"yes\", expected true or false",
        ),
        ("[sip]\n\nlisten =", "3: found \"listen =\", expected TOML: "),
        ("[sip\nlisten = 5", "1: found \"[sip\", expected TOML: unclosed table"),
        (
            "listen = \"udp:127.0.0.1:5060\"",
            "1: listen: found an unknown key, expected a section such as [sip]: emergency, http",
        ),
        (
            "[[user]]\nname = \"911\"\npassword = \"x\"",
            "2: user.name: found \"911\", expected a name that is no emergency number",
        ),
    ] {
        let errors = resolved(text).err().unwrap_or_else(|| panic!("no error in\n{text}"));
        let start = format!("ringfort.toml:{message}");
        assert!(
            errors.iter().any(|error| error.starts_with(&start)),
            "{text}\nwant {start}\ngot  {errors:#?}"
        );
        assert_eq!(errors.len(), 1, "{text}\n{errors:#?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = "[sip]\nlisten = \"udp:1\"\ndomain = \"a\"\n[limits]\ncalls = 0\n[[user]]\nname = 5\n[[route]]\nmatch = \"(\"\n";
    let lines: Vec<String> = resolved(text).unwrap_err();
    let places: Vec<&str> = lines.iter().filter_map(|line| line.split(':').nth(1)).collect();
    assert_eq!(places, ["2", "3", "5", "6", "7", "8", "9"], "{lines:#?}");
}

#[test]
fn passwords_are_not_shown() {
    let errors = resolved("[[user]]\nname = \"1\"\npassword = [\"hunter2\"]\n").unwrap_err();
    assert!(errors.iter().all(|error| !error.contains("hunter2")), "{errors:?}");
}
