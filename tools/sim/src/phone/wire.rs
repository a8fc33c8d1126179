//! How a phone sends and receives: datagrams, or one connection to the server that is opened when there is
//! something to say and again when it broke.

use super::{Duration, EndpointCx, Phone, SERVER, SocketAddr, Timer};
use shards::sim::StreamInput;

/// The phone's connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    number: Option<u64>,
    open: bool,
    /// Octets that wait for it to open.
    waiting: Vec<u8>,
    /// Octets that are no whole message yet.
    heard: Vec<u8>,
}

impl Phone {
    /// Sends a message: to `to`, or over the connection.
    pub(super) fn emit(&mut self, cx: &mut EndpointCx<'_>, to: SocketAddr, octets: &[u8]) {
        if !self.habits.tcp {
            return cx.send(self.me, to, octets);
        }
        if let (Some(number), true) = (self.connection.number, self.connection.open) {
            return cx.write(number, octets);
        }
        self.connection.waiting.extend_from_slice(octets);
        if self.connection.number.is_none() {
            self.connection.number = Some(cx.connect(self.me, SERVER));
        }
    }

    /// `UDP` or `TCP`, as Via says it.
    pub(super) fn transport(&self) -> &'static str {
        if self.habits.tcp { "TCP" } else { "UDP" }
    }

    /// The connection breaks, as when a switch forgets it.
    pub fn drop_connection(&mut self, cx: &mut EndpointCx<'_>) {
        if let Some(number) = self.connection.number.take() {
            cx.close(number);
            self.connection = Connection::default();
            self.timer(cx, AGAIN, Timer::Register);
        }
    }

    pub(super) fn on_stream(&mut self, cx: &mut EndpointCx<'_>, number: u64, input: StreamInput<'_>) {
        match input {
            StreamInput::Opened => {
                // The server may have opened another one: the latest is used.
                self.connection.number = Some(number);
                self.connection.open = true;
                let waiting = std::mem::take(&mut self.connection.waiting);
                if !waiting.is_empty() {
                    cx.write(number, &waiting);
                }
            }
            StreamInput::Octets(octets) if self.connection.number == Some(number) => {
                self.connection.heard.extend_from_slice(octets);
                while let Some(message) = self.next_message() {
                    self.message(cx, SERVER, &message);
                }
            }
            StreamInput::Octets(_) => {}
            StreamInput::Closed => {
                if self.connection.number == Some(number) {
                    self.connection = Connection::default();
                    // RFC 5626 section 4.5: a flow that failed is replaced after a pause.
                    self.timer(cx, AGAIN, Timer::Register);
                }
            }
        }
    }

    fn next_message(&mut self) -> Option<Vec<u8>> {
        let heard = &mut self.connection.heard;
        while heard.starts_with(b"\r\n") {
            heard.drain(..2);
        }
        let head = heard.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(heard.get(..head)?).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        (heard.len() >= head + length).then(|| heard.drain(..head + length).collect())
    }
}

/// Before a phone registers over a new connection.
const AGAIN: Duration = Duration::from_millis(800);
