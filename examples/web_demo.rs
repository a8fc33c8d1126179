//! The web page over an appliance that only looks alive, to work on the page:
//! `cargo run --example web_demo [ADDRESS [idle]]`, then open the printed link.

#[path = "../tests/web/fake.rs"]
mod fake;

use std::io::Write;
use std::sync::Arc;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = std::net::TcpListener::bind(address)?;
    let token = "demo-token";
    let mut out = std::io::stdout();
    writeln!(out, "http://{}/?token={token}", listener.local_addr()?)?;
    out.flush()?;
    let _server = ringfort::ops::serve(
        listener,
        Arc::new(fake::Fake::new(true)),
        ringfort::ops::Options::new(token),
    )?;
    loop {
        std::thread::park();
    }
}
