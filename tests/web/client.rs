//! A small HTTP client that can also misbehave.

use crate::fake::Fake;
use ringfort::ops::{Options, Server, serve};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) struct Site {
    pub(crate) fake: Arc<Fake>,
    address: SocketAddr,
    _server: Server,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }
}

/// Events of one stream, one after the other.
pub(crate) struct Events(BufReader<TcpStream>);

impl Events {
    /// The next event: its name and data. Chunk sizes stand in lines of their own and are skipped
    /// with everything else that is neither.
    pub(crate) fn next_event(&mut self) -> (String, serde_json::Value) {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).unwrap());
            }
        }
    }
}

impl Site {
    pub(crate) fn start(fake: Fake) -> Self {
        Self::with(fake, 256, Duration::from_secs(30))
    }

    pub(crate) fn with(fake: Fake, connections: usize, patience: Duration) -> Self {
        let fake = Arc::new(fake);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let names = vec!["pbx.campus.example".to_owned()];
        let options = Options {
            names,
            connections,
            patience,
            ..Options::new("correct-token\n")
        };
        let server = serve(listener, fake.clone(), options).unwrap();
        Self {
            fake,
            address,
            _server: server,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> BufReader<TcpStream> {
        let mut stream = self.connect();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            head += "Host: 127.0.0.1\r\n";
        }
        headers.iter().for_each(|header| head += &format!("{header}\r\n"));
        head += "\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // The server may have refused already.
        let _ = stream.write_all(body);
        BufReader::new(stream)
    }

    fn head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut headers = Vec::new();
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
                None => return (status, headers),
            }
        }
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut reader = self.send(method, path, headers, body);
        let (status, headers) = Self::head(&mut reader);
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let mut body = Vec::new();
        if let Some((_, length)) = length {
            reader.take(length.parse().unwrap()).read_to_end(&mut body).unwrap();
        }
        Answer { status, headers, body }
    }

    pub(crate) fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.ask("GET", path, headers, b"")
    }

    /// Only the status; the rest is not waited for.
    pub(crate) fn get_head(&self, path: &str, headers: &[&str]) -> u16 {
        Self::head(&mut self.send("GET", path, headers, b"")).0
    }

    pub(crate) fn events(&self, token: &str) -> Events {
        let mut reader = self.send("GET", "/events", &[token], b"");
        assert_eq!(Self::head(&mut reader).0, 200);
        Events(reader)
    }

    /// Sends octets as they are and gives what comes back first (empty when the server hangs up).
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut first = [0; 256];
        let n = stream.read(&mut first).unwrap_or(0);
        String::from_utf8_lossy(&first[..n]).into_owned()
    }

    /// A head that never ends, one octet at a time; gives how long the server bore it.
    pub(crate) fn drip(&self) -> JoinHandle<Duration> {
        let mut stream = self.connect();
        let begun = Instant::now();
        stream.write_all(b"GET / HTTP/1.1\r\nX-Drip: ").unwrap();
        std::thread::spawn(move || {
            while begun.elapsed() < Duration::from_secs(5) && stream.write_all(b"a").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
            begun.elapsed()
        })
    }
}
