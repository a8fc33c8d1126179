//! The web page over an appliance that only looks alive, to work on the page:
//! `cargo run --example web_demo [ADDRESS [idle]]`, then open the printed link.

#![allow(clippy::disallowed_methods, reason = "a test on the real machine")]

#[path = "../tests/web/fake.rs"]
mod fake;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let listener = std::net::TcpListener::bind(words.next().unwrap_or_else(|| "127.0.0.1:0".into()))?;
    let fake = fake::Fake::new(true);
    fake.idle
        .store(words.next().is_some_and(|word| word == "idle"), Ordering::Relaxed);
    let token = "demo-token";
    let mut out = std::io::stdout();
    writeln!(out, "http://{}/?token={token}", listener.local_addr()?)?;
    out.flush()?;
    let _server = ringfort::ops::serve(listener, Arc::new(fake), ringfort::ops::Options::new(token))?;
    loop {
        std::thread::park();
    }
}
