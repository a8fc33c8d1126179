//! The operators' interface over real HTTP, with an appliance behind it that only looks alive.

#![allow(clippy::disallowed_methods, reason = "a test on the real machine")]

mod client;
mod fake;

use client::{Answer, Site};
use fake::Fake;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SECRET: &str = "Authorization: Bearer correct-token";

/// Every operation of the OpenAPI document: method, path with places filled, whether it is open.
fn operations(site: &Site) -> Vec<(String, String, bool)> {
    let document = site.get("/api/openapi.json", &[SECRET]).json();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let open = operation["security"].as_array().is_some_and(Vec::is_empty);
            found.push((method.to_uppercase(), path.replace("{id}", "no-such-call"), open));
        }
    }
    found
}

#[test]
fn the_document_lists_the_served_routes_and_who_may_ask_them() {
    let site = Site::start(Fake::new(true));
    let operations = operations(&site);
    assert!(operations.len() >= 18, "{operations:?}");
    for (method, path, open) in &operations {
        let stranger = site.ask(method, path, &[], b"");
        let promised = ["/metrics", "/api/health", "/login", "/style.css"].contains(&path.as_str());
        assert_eq!(*open, promised, "{method} {path}");
        assert_eq!(
            stranger.status == 401,
            !open,
            "{method} {path} without a sign-in: {}",
            stranger.status
        );
        // A wrong token is a 401 too, or a 429 when there were more than five in this second.
        let wrong = site.ask(method, path, &["Authorization: Bearer wrong"], b"");
        assert!(
            *open || [401, 429].contains(&wrong.status),
            "{method} {path} wrong token: {}",
            wrong.status
        );
    }
    std::thread::sleep(Duration::from_millis(1100));
    for (method, path, _) in &operations {
        if path == "/events" || path == "/logout" {
            continue;
        }
        let known = site.ask(method, path, &[SECRET], b"");
        assert!(
            ![401, 403, 405, 429, 500].contains(&known.status),
            "{method} {path}: {}",
            known.status
        );
        assert!(
            known.status != 404 || path.ends_with("no-such-call"),
            "{method} {path}: not served"
        );
    }
    for (path, method) in [
        ("/api/calls", "POST"),
        ("/metrics", "DELETE"),
        ("/api/drain", "GET"),
        ("/", "PUT"),
    ] {
        let answer = site.ask(method, path, &[SECRET], b"");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.json()["error"], "Method Not Allowed");
        assert!(
            answer.header("allow").is_some(),
            "{method} {path} names what is allowed"
        );
    }
    for path in [
        "/nothing",
        "/api",
        "/api/calls/",
        "/api/calls/a/b",
        "/../etc/passwd",
        "/api/calls/..%2f..%2fetc",
    ] {
        assert_eq!(
            site.get(path, &[]).status,
            401,
            "{path} without a sign-in tells nothing"
        );
    }
    assert_eq!(site.get("/nothing", &[SECRET]).json()["error"], "Not Found");
}

#[test]
fn every_answer_has_the_security_headers() {
    let site = Site::start(Fake::new(false));
    for (path, headers) in [
        ("/", vec![]),
        ("/", vec![SECRET]),
        ("/metrics", vec![]),
        ("/nothing", vec![SECRET]),
        ("/app.js", vec![SECRET]),
    ] {
        let answer = site.get(path, &headers);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
}

#[test]
fn pages_hold_no_inline_script_or_style() {
    let site = Site::start(Fake::new(false));
    for page in [site.get("/", &[]).text(), site.get("/", &[SECRET]).text()] {
        assert!(page.contains("<title>"));
        assert!(
            !page.contains(" style=") && !page.contains("<style"),
            "inline style: {page}"
        );
        let handlers = page
            .split_whitespace()
            .filter(|word| word.starts_with("on") && word.contains('='));
        assert_eq!(handlers.collect::<Vec<_>>(), Vec::<&str>::new(), "inline handlers");
        assert!(page.matches("<script").count() == page.matches("<script src=\"/app.js\"").count());
    }
    let script = site.get("/app.js", &[SECRET]).text();
    for forbidden in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "DOMParser",
    ] {
        assert!(!script.contains(forbidden), "{forbidden}");
    }
}

fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/"),
        "{set}"
    );
    format!("Cookie: other=1; {}", set.split(';').next().unwrap())
}

#[test]
fn a_browser_signs_in_changes_something_and_signs_out() {
    let site = Site::start(Fake::new(false));
    let form = "Content-Type: application/x-www-form-urlencoded";
    assert_eq!(site.ask("POST", "/login", &[form], b"token=wrong").status, 401);
    assert_eq!(site.ask("POST", "/login", &[form], b"tok").status, 400);
    assert_eq!(
        site.ask(
            "POST",
            "/login",
            &[form, "Sec-Fetch-Site: cross-site"],
            b"token=correct-token"
        )
        .status,
        403
    );
    let answer = site.ask("POST", "/login", &[form], b"token=correct-token");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = cookie(&answer);
    assert_eq!(site.get("/api/calls", &[&cookie]).status, 200);
    assert_eq!(
        site.ask("POST", "/api/drain", &[&cookie], b"").status,
        403,
        "a foreign page's form"
    );
    assert!(!site.fake.draining.load(Ordering::Relaxed));
    assert_eq!(
        site.ask("POST", "/api/drain", &[&cookie, "X-Ringfort: 1"], b"").status,
        202
    );
    assert!(site.fake.draining.load(Ordering::Relaxed));
    assert_eq!(
        site.ask("POST", "/logout", &[&cookie, "X-Ringfort: 1"], b"").status,
        204
    );
    assert_eq!(site.get("/api/calls", &[&cookie]).status, 401);
}

#[test]
fn the_link_with_the_token_signs_in_and_forgets_the_token() {
    let site = Site::start(Fake::new(false));
    let answer = site.get("/?token=correct-token", &[]);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = cookie(&answer);
    assert!(site.get("/", &[&cookie]).text().contains("/app.js"));
    let wrong = site.get("/?token=wrong", &[]);
    assert_eq!(wrong.status, 401);
    assert!(wrong.header("set-cookie").is_none() && wrong.text().contains("not the right one"));
    assert_eq!(
        site.get("/api/calls?token=correct-token", &[]).status,
        401,
        "only the front page takes it"
    );
}

#[test]
fn wrong_tokens_are_slowed_down() {
    let site = Site::start(Fake::new(false));
    let answers: Vec<_> = (0..20)
        .map(|_| site.get("/api/calls", &["Authorization: Bearer guess"]))
        .collect();
    let slowed = answers.iter().find(|answer| answer.status == 429).expect("a 429");
    assert_eq!(slowed.header("retry-after"), Some("1"));
    assert_eq!(slowed.json()["error"], "Too Many Requests");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(site.get("/api/calls", &[SECRET]).status, 200);
}

#[test]
fn a_name_that_is_not_ours_is_refused() {
    let site = Site::start(Fake::new(false));
    for path in ["/", "/metrics", "/api/health", "/login"] {
        assert_eq!(site.get(path, &["Host: evil.example"]).status, 421, "{path}");
    }
    assert_eq!(site.get("http://evil.example/metrics", &[]).status, 421);
    for ours in ["Host: localhost:1", "Host: [::1]:8080", "Host: pbx.campus.example"] {
        assert_eq!(site.get("/api/health", &[ours]).status, 200, "{ours}");
    }
}

#[test]
fn health_says_what_is_wrong() {
    let site = Site::start(Fake::new(false));
    let well = site.get("/api/health", &[]);
    assert_eq!((well.status, &well.json()["status"]), (200, &"ok".into()));
    site.fake.silent.store(1, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(60));
    let ill = site.get("/api/health", &[]);
    assert_eq!((ill.status, &ill.json()["shards"][1]["state"]), (503, &"silent".into()));
    let metrics = site.get("/metrics", &[]).text();
    assert!(metrics.contains("ringfort_shard_up{shard=\"1\"} 0"));
    site.fake.silent.store(u64::MAX, Ordering::Relaxed);
    site.fake.draining.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(60));
    let draining = site.get("/api/health", &[]);
    assert_eq!((draining.status, &draining.json()["status"]), (503, &"draining".into()));
}

#[test]
fn counters_do_not_run_backwards_when_a_shard_is_silent() {
    let site = Site::start(Fake::new(false));
    let total = |text: &str| -> f64 {
        let lines = text
            .lines()
            .filter(|line| line.starts_with("ringfort_call_setup_seconds_count"));
        lines
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    };
    let before = total(&site.get("/metrics", &[]).text());
    site.fake.silent.store(0, Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(60));
    assert!(before > 0.0 && total(&site.get("/metrics", &[]).text()) >= before);
}

#[test]
fn rows_limits_and_wrong_questions() {
    let site = Site::start(Fake::new(false));
    let calls = site.get("/api/calls?limit=3", &[SECRET]).json();
    assert_eq!(calls["calls"].as_array().unwrap().len(), 3);
    assert_eq!(calls["calls"][0]["state"], "answered");
    let found = site.get("/api/registrations?prefix=1002", &[SECRET]).json();
    assert_eq!(found["registrations"][0]["aor"], "1002@127.0.0.1");
    let hostile = site.get("/api/registrations?prefix=%3Cscript", &[SECRET]).json();
    assert_eq!(hostile["registrations"].as_array().unwrap().len(), 1);
    for wrong in [
        "/api/calls?limit=0",
        "/api/calls?limit=99999",
        "/api/calls?limit=x",
        "/api/calls?limt=5",
        "/api/users?secrets=perhaps",
    ] {
        let answer = site.get(wrong, &[SECRET]);
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
    }
    assert_eq!(
        site.get(&format!("/api/registrations?prefix={}", "a".repeat(300)), &[SECRET])
            .status,
        400
    );
    let users = site.get("/api/users", &[SECRET]).json();
    assert!(users["users"][0].get("password").is_none());
    assert!(site.get("/api/users?secrets=true", &[SECRET]).json()["users"][0]["password"].is_string());
    let room = site.get("/api/capacity", &[SECRET]).json();
    assert!(
        room["calls"]["more"].as_u64().unwrap() > 0 && room["calls"]["bound_by"].is_string(),
        "{room}"
    );
    let document = site.get("/api/openapi.json", &[SECRET]).json();
    let promised = document["components"]["schemas"]["Capacity"]["properties"]
        .as_object()
        .unwrap();
    let names = |of: &serde_json::Map<String, serde_json::Value>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(room.as_object().unwrap()), names(promised));
    let shard = &document["components"]["schemas"]["Capacity"]["properties"]["shards"]["items"]["properties"];
    assert_eq!(
        names(room["shards"][0].as_object().unwrap()),
        names(shard.as_object().unwrap())
    );
}

#[test]
fn changes() {
    let site = Site::start(Fake::new(true));
    assert_eq!(site.ask("DELETE", "/api/calls/0-0", &[SECRET], b"").status, 204);
    assert_eq!(*site.fake.ended.lock().unwrap(), ["0-0"]);
    for unknown in ["0-0", "..%2F..%2Fetc%2Fpasswd", "%FF", "%00", &"a".repeat(200)] {
        assert_eq!(
            site.ask("DELETE", &format!("/api/calls/{unknown}"), &[SECRET], b"")
                .status,
            404,
            "{unknown}"
        );
    }
    let valid = site
        .ask("POST", "/api/config/validate", &[SECRET], b"[sip]\nlisten = []\n")
        .json();
    assert_eq!(
        (valid["valid"].as_bool(), valid["findings"].as_array().map(Vec::len)),
        (Some(true), Some(0))
    );
    let wrong = site
        .ask("POST", "/api/config/validate", &[SECRET], b"[sip]\nlistne = []\n")
        .json();
    assert!(wrong["findings"][0].as_str().unwrap().starts_with("line 2"));
    assert_eq!(
        site.ask("POST", "/api/config/validate", &[SECRET], b"\xff\xfe").status,
        400
    );
    assert_eq!(
        site.ask("POST", "/api/config/validate", &[SECRET], &[b'a'; 64 * 1024])
            .status,
        200
    );
    assert_eq!(
        site.ask("POST", "/api/config/validate", &[SECRET], &[b'a'; 64 * 1024 + 1])
            .status,
        413
    );
    assert_eq!(
        site.ask("POST", "/api/testing/panic?shard=1", &[SECRET], b"").status,
        202
    );
    assert_eq!(site.fake.panicked.load(Ordering::Relaxed), 1);
    assert_eq!(
        site.ask("POST", "/api/testing/panic?shard=9", &[SECRET], b"").status,
        404
    );
    let careful = Site::start(Fake::new(false));
    assert_eq!(
        careful.ask("POST", "/api/testing/panic?shard=1", &[SECRET], b"").status,
        404
    );
}

#[test]
fn the_body_of_a_stranger_is_not_waited_for() {
    let site = Site::start(Fake::new(false));
    let begun = Instant::now();
    let answer = site.raw(b"POST /api/config/validate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 60000\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn odd_lengths_and_heads_do_no_harm() {
    let site = Site::start(Fake::new(false));
    for length in [
        "-1",
        "2147483648",
        "4294967295",
        "9223372036854775808",
        "18446744073709551615",
        "99999999999999999999",
        "x",
    ] {
        let head = format!("POST /api/config/validate HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nab");
        assert!(!site.raw(head.as_bytes()).starts_with("HTTP/1.1 2"), "{length}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "a".repeat(1_000_000));
    assert!(!site.raw(long.as_bytes()).starts_with("HTTP/1.1 2"));
    assert_eq!(site.get("/api/health", &[]).status, 200);
}

#[test]
fn a_connection_that_only_drips_is_ended_and_its_place_is_free_again() {
    let site = Site::with(Fake::new(false), 2, Duration::from_millis(400));
    let begun = Instant::now();
    let drips: Vec<_> = (0..2).map(|_| site.drip()).collect();
    assert_eq!(site.get("/api/health", &[]).status, 200, "waits for a place");
    assert!(
        begun.elapsed() >= Duration::from_millis(300),
        "both places were taken: {:?}",
        begun.elapsed()
    );
    for drip in drips {
        assert!(
            drip.join().unwrap() < Duration::from_secs(3),
            "ended while it still dripped"
        );
    }
}

#[test]
fn events_come_and_numbers_change() {
    let site = Site::start(Fake::new(false));
    let mut events = site.events(SECRET);
    let (name, history) = events.next_event();
    assert_eq!((name.as_str(), history.is_array()), ("history", true));
    let mut seen = std::collections::BTreeSet::new();
    let mut figures = Vec::new();
    while figures.len() < 3 || seen.len() < 3 {
        let (name, data) = events.next_event();
        if name == "figures" {
            assert_eq!(data["shards"].as_array().unwrap().len(), 2);
            figures.push(data);
        }
        seen.insert(name);
    }
    assert!(seen.contains("calls") && seen.contains("registrations"), "{seen:?}");
    assert_ne!(figures[0]["at"], figures[1]["at"]);
    assert!(figures.last().unwrap()["requests_per_second"].as_f64().unwrap() > 0.0);
}

#[test]
fn at_most_64_browsers_look_at_once() {
    let site = Site::start(Fake::new(false));
    let looking: Vec<_> = (0..64).map(|_| site.events(SECRET)).collect();
    assert_eq!(site.get("/events", &[SECRET]).status, 503);
    drop(looking);
    let until = Instant::now() + Duration::from_secs(5);
    while site.get_head("/events", &[SECRET]) != 200 {
        assert!(Instant::now() < until, "places are not given back");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_server_stops_though_a_browser_still_looks() {
    let site = Site::start(Fake::new(false));
    let _events = site.events(SECRET);
    let begun = Instant::now();
    drop(site);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
