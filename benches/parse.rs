//! What one message costs: reading, passing on, authenticating.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringfort::protocol::sip::digest::{Credentials, DigestAlgorithm, Ha1, ha2, response, verify};
use ringfort::protocol::sip::{Carrier, Forward, Reply, Spans, forward_response, parse};
use std::hint::black_box;

/// 12 headers, 500 octets with its body.
const INVITE: &str = "INVITE sip:2002@campus.example SIP/2.0\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds;rport\r\n\
Max-Forwards: 70\r\n\
From: \"Room 1\" <sip:1001@campus.example>;tag=1928301774\r\n\
To: <sip:2002@campus.example>\r\n\
Call-ID: a84b4c76e66710@192.0.2.10\r\n\
CSeq: 314159 INVITE\r\n\
Contact: <sip:1001@192.0.2.10:5060>\r\n\
User-Agent: Phone/1.0\r\n\
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n\
Supported: timer, replaces\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 65\r\n\
\r\n\
v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n";

const OK: &str = "SIP/2.0 200 OK\r\n\
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKus0001\r\n\
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK776asdhds;received=192.0.2.10;rport=5060\r\n\
From: \"Room 1\" <sip:1001@campus.example>;tag=1928301774\r\n\
To: <sip:2002@campus.example>;tag=99sa0xk\r\n\
Call-ID: a84b4c76e66710@192.0.2.10\r\n\
CSeq: 314159 INVITE\r\n\
Contact: <sip:2002@192.0.2.20:5060>\r\n\
Content-Length: 0\r\n\
\r\n";

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    let mut spans = Spans::default();
    for (name, text) in [("invite", INVITE), ("200", OK)] {
        assert!(parse(text.as_bytes(), &mut spans, Carrier::Datagram).is_ok(), "{name}");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let message = parse(black_box(text.as_bytes()), &mut spans, Carrier::Datagram);
                message.is_ok_and(|message| message.cseq().number == 314_159)
            });
        });
    }
    group.finish();
}

fn writing(c: &mut Criterion) {
    let mut group = c.benchmark_group("write");
    let source = ([192, 0, 2, 10], 5060).into();
    let mut out = Vec::with_capacity(4096);
    let mut spans = Spans::default();
    let request = parse(INVITE.as_bytes(), &mut spans, Carrier::Datagram).expect("the INVITE");
    let forward = Forward {
        uri: b"sip:2002@192.0.2.20:5060",
        via: b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKus0001",
        source,
        max_forwards: 69,
        record_routes: &[b"<sip:192.0.2.1;lr>"],
        drop_routes: 0,
        routes: &[],
        remove: &|_| false,
        add: &[],
        body: None,
    };
    group.bench_function("forward", |b| {
        b.iter(|| {
            out.clear();
            forward.write(&mut out, black_box(&request));
            out.len()
        });
    });
    let trying = Reply {
        status: 100,
        phrase: "Trying",
        to_tag: b"",
        headers: &[],
        body: None,
        record_route: false,
    };
    group.bench_function("reply_100", |b| {
        b.iter(|| {
            out.clear();
            trying.write(&mut out, black_box(&request), source);
            out.len()
        });
    });
    let mut spans = Spans::default();
    let answer = parse(OK.as_bytes(), &mut spans, Carrier::Datagram).expect("the 200");
    group.bench_function("forward_response", |b| {
        b.iter(|| {
            out.clear();
            forward_response(&mut out, black_box(&answer));
            out.len()
        });
    });
    group.finish();
}

fn digest(c: &mut Criterion) {
    let mut group = c.benchmark_group("digest");
    for (name, alg, zeros) in [
        ("sha-256", DigestAlgorithm::Sha256, 64),
        ("md5", DigestAlgorithm::Md5, 32),
    ] {
        let header = |response: &str| {
            format!(
                "Digest username=\"1001\", realm=\"campus.example\", nonce=\"{}\", uri=\"sip:campus.example\", \
                 algorithm={name}, qop=auth, nc=00000001, cnonce=\"0a4f113b\", response=\"{response}\"",
                "0".repeat(60)
            )
        };
        let ha1 = Ha1::new(alg, b"1001", b"campus.example", b"secret");
        let unsigned = header(&"0".repeat(zeros));
        let credentials = Credentials::parse(unsigned.as_bytes()).expect("credentials");
        let ha2 = |credentials: &Credentials<'_>| ha2(alg, b"REGISTER", credentials.uri);
        let signed = header(response(alg, &ha1, &credentials, &ha2(&credentials)).as_str());
        let credentials = Credentials::parse(signed.as_bytes()).expect("credentials");
        assert!(verify(alg, &ha1, &credentials, &ha2(&credentials)));
        group.bench_function(format!("verify_{name}"), |b| {
            b.iter(|| {
                let credentials = black_box(&credentials);
                verify(alg, &ha1, credentials, &ha2(credentials))
            });
        });
        group.bench_function(format!("credentials_{name}"), |b| {
            b.iter(|| Credentials::parse(black_box(signed.as_bytes())).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, reading, writing, digest);
criterion_main!(benches);
