use super::*;
use clap::Parser;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// Answers one request with `status` and `body`; gives the request's head.
fn answering(status: &'static str, body: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head += &line;
        }
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent).unwrap();
        head += &String::from_utf8(sent).unwrap();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).unwrap();
        head
    });
    (url, thread)
}

struct Told {
    status: Result<bool, String>,
    text: String,
}

fn ctl(url: &str, words: &[&str]) -> Told {
    let token = std::env::temp_dir().join(format!(
        "ringfortctl-test-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&token, "the-token\n").unwrap();
    let path = token.to_str().unwrap();
    let mut all = vec!["ringfortctl"];
    all.extend_from_slice(words);
    all.extend_from_slice(&["--url", url, "--token-file", path]);
    let mut out = Vec::new();
    let status = match run(&Arguments::parse_from(all), &mut out) {
        Ok(outcome) => Ok(matches!(outcome, Outcome::Well)),
        Err(Trouble(sentence)) => Err(sentence),
    };
    std::fs::remove_file(&token).unwrap();
    Told {
        status,
        text: String::from_utf8(out).unwrap(),
    }
}

#[test]
fn registrations_are_asked_for_and_shown() {
    let (url, asked) = answering(
        "200 OK",
        r#"{"registrations":[{"aor":"1001@x","contact":"sip:a@b","expires_in":3725,"source":"127.0.0.1:9","transport":"udp","user_agent":"\u001b[31mred"}],"total":75000}"#,
    );
    let told = ctl(&url, &["registration", "list", "--prefix", "10 &"]);
    let head = asked.join().unwrap();
    assert!(
        head.starts_with("GET /api/registrations?limit=100&prefix=10%20%26 HTTP/1.1"),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase().contains("authorization: bearer the-token"),
        "{head}"
    );
    assert_eq!(told.status, Ok(true));
    assert_eq!(
        told.text,
        "AOR     CONTACT  SOURCE           EXPIRES  PHONE\n1001@x  sip:a@b  udp:127.0.0.1:9  1:02:05  \u{fffd}[31mred\n"
    );
}

#[test]
fn an_unhealthy_instance_is_a_no_and_needs_no_token() {
    let (url, asked) = answering(
        "503 Service Unavailable",
        r#"{"status":"degraded","shards":[{"shard":1,"state":"silent","restarts":2}]}"#,
    );
    let told = ctl(&url, &["health", "show"]);
    assert!(!asked.join().unwrap().to_ascii_lowercase().contains("authorization"));
    assert_eq!(told.status, Ok(false));
    assert_eq!(
        told.text,
        "degraded\nSHARD  STATE   RESTARTS\n    1  silent         2\n"
    );
}

#[test]
fn a_configuration_is_sent_and_its_findings_shown() {
    let file = std::env::temp_dir().join(format!("ringfortctl-test-config-{}", std::process::id()));
    std::fs::write(&file, "listne = 1\n").unwrap();
    let (url, asked) = answering(
        "200 OK",
        r#"{"valid":false,"findings":["line 1: listne: unknown key"]}"#,
    );
    let told = ctl(&url, &["config", "validate", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    let sent = asked.join().unwrap();
    assert!(
        sent.starts_with("POST /api/config/validate") && sent.ends_with("listne = 1\n"),
        "{sent}"
    );
    assert_eq!(
        (told.status, told.text.as_str()),
        (Ok(false), "line 1: listne: unknown key\n")
    );
}

#[test]
fn refusals_are_sentences() {
    let (url, asked) = answering(
        "401 Unauthorized",
        r#"{"error":"Unauthorized","detail":"the token is wrong"}"#,
    );
    let told = ctl(&url, &["shard", "list"]);
    asked.join().unwrap();
    assert!(told.status.unwrap_err().contains("does not accept the token"));
    let (url, asked) = answering("404 Not Found", r#"{"error":"Not Found","detail":"no such call"}"#);
    let told = ctl(&url, &["call", "end", "../drain"]);
    assert!(
        asked
            .join()
            .unwrap()
            .starts_with("DELETE /api/calls/..%2Fdrain HTTP/1.1")
    );
    assert!(told.status.unwrap_err().contains("there is no call ../drain"));
    let (url, asked) = answering("200 OK", "<html>");
    let told = ctl(&url, &["user", "list"]);
    asked.join().unwrap();
    assert!(told.status.unwrap_err().contains("does not answer like Ringfort"));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = ctl(&format!("http://{nobody}"), &["drain", "start"]);
    assert!(told.status.unwrap_err().contains("cannot be reached"));
}
