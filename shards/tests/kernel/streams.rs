//! Stream transports.

use super::*;

fn connect(bench: &Bench) -> TcpStream {
    let stream = TcpStream::connect(bench.tcp.expect("a stream listener")).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    stream
}

fn read_some(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    stream.read_exact(&mut octets).expect("octets");
    octets
}

#[test]
fn streams_are_framed_anywhere() {
    let bench = start(2, true, None, |_| ());
    let mut stream = connect(&bench);
    for octet in b"one\ntwo\n\r\n\r\nthree" {
        stream.write_all(&[*octet]).expect("written");
    }
    // The keep-alive is answered by the companion, so it may come before the program's answers.
    let answers = String::from_utf8(read_some(&mut stream, 10)).expect("text");
    assert_eq!(answers.replacen("\r\n", "", 1), "one\ntwo\n");
    stream.write_all(b"!\nfour\nfive\n").expect("written");
    assert_eq!(read_some(&mut stream, 17), b"three!\nfour\nfive\n");
    let large = "x".repeat(100_000) + "\n";
    stream.write_all(large.as_bytes()).expect("written");
    assert_eq!(read_some(&mut stream, large.len()), large.as_bytes());
    let total: u64 = (0..2)
        .map(|shard| bench.handle.stats(shard).stream_messages_in.get())
        .sum();
    assert_eq!(total, 6);
}

#[test]
fn a_broken_stream_is_answered_and_closed() {
    let bench = start(1, true, None, |_| ());
    let mut stream = connect(&bench);
    stream.write_all(b"bad\n").expect("written");
    assert_eq!(read_some(&mut stream, 4), b"400\n");
    assert_eq!(stream.read(&mut [0; 9]).expect("the end"), 0);
    assert_eq!(bench.handle.stats(0).connections_bad.get(), 1);
    let mut next = connect(&bench);
    next.write_all(b"ok\n").expect("written");
    assert_eq!(read_some(&mut next, 3), b"ok\n");
}

#[test]
fn slow_and_idle_connections_are_closed() {
    let bench = start(1, true, None, |plan| {
        plan.streams.message = Duration::from_millis(300);
        plan.streams.idle = Duration::from_millis(900);
        plan.streams.connections = 2;
    });
    let (mut slow, mut idle) = (connect(&bench), connect(&bench));
    slow.write_all(b"half").expect("written");
    idle.write_all(b"whole\n").expect("written");
    assert_eq!(read_some(&mut idle, 6), b"whole\n");
    assert_eq!(
        connect(&bench).read(&mut [0; 9]).unwrap_or(0),
        0,
        "a third one is refused"
    );
    let began = Instant::now();
    assert_eq!(slow.read(&mut [0; 9]).expect("the end"), 0);
    assert!(began.elapsed() < Duration::from_millis(1000), "{:?}", began.elapsed());
    assert_eq!(idle.read(&mut [0; 9]).expect("the end"), 0);
    let stats = bench.handle.stats(0);
    assert_eq!(
        (
            stats.connections_slow.get(),
            stats.connections_idle.get(),
            stats.connections_refused.get()
        ),
        (1, 1, 1)
    );
    let limit = Instant::now() + Duration::from_secs(2);
    while stats.connections.get() > 0 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(stats.connections.get(), 0);
}

#[test]
fn connections_that_never_sent_a_message_are_closed() {
    let bench = start(1, true, None, |plan| plan.streams.message = Duration::from_millis(300));
    let (mut silent, mut alive, mut known) = (connect(&bench), connect(&bench), connect(&bench));
    known.write_all(b"whole\n").expect("written");
    assert_eq!(read_some(&mut known, 6), b"whole\n");
    // A keep-alive is no message: it buys no time.
    alive.write_all(b"\r\n\r\n").expect("written");
    assert_eq!(read_some(&mut alive, 2), b"\r\n");
    assert_eq!(silent.read(&mut [0; 9]).expect("the end"), 0);
    assert_eq!(alive.read(&mut [0; 9]).expect("the end"), 0);
    std::thread::sleep(Duration::from_millis(700));
    known.write_all(b"again\n").expect("written");
    assert_eq!(read_some(&mut known, 6), b"again\n", "one that spoke may be quiet");
    assert_eq!(bench.handle.stats(0).connections_slow.get(), 2);
}

#[test]
fn connections_are_opened_and_used_again() {
    let bench = start(1, true, None, |_| ());
    let far = TcpListener::bind("127.0.0.1:0").expect("free port");
    let peer = far.local_addr().expect("bound");
    let phone = Phone::new();
    phone.send(bench.udp, format!("stream {peer}").as_bytes());
    let (mut accepted, _) = far.accept().expect("opened");
    accepted
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("timeout");
    assert_eq!(read_some(&mut accepted, 6), b"hello\n");
    phone.send(bench.udp, format!("stream {peer}").as_bytes());
    assert_eq!(read_some(&mut accepted, 6), b"hello\n", "over the same connection");
    accepted.write_all(b"back\n").expect("written");
    assert_eq!(read_some(&mut accepted, 5), b"back\n");
    assert_eq!(bench.handle.stats(0).connections_opened.get(), 1);
    drop((accepted, far));
    // Nobody listens there any more: the sender hears of it.
    let limit = Instant::now() + Duration::from_secs(2);
    while bench.handle.stats(0).connections.get() > 0 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(phone.ask(bench.udp, &format!("stream {peer}")), "failed");
}

#[test]
fn a_peer_that_does_not_read_is_closed() {
    let bench = start(1, true, None, |_| ());
    let mut stream = connect(&bench);
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("timeout");
    let line = [b"x".repeat(8000), b"\n".to_vec()].concat();
    // Far more than the socket buffers and the queue hold, and never read.
    let (began, stats) = (Instant::now(), bench.handle.stats(0));
    while stats.connections_choked.get() == 0 {
        let _ = stream.write(&line);
        let mut counters = Vec::new();
        stats.each(|name, value| counters.push((name, value)));
        assert!(began.elapsed() < Duration::from_secs(20), "{counters:?}");
    }
    let limit = Instant::now() + Duration::from_secs(2);
    while stats.connections.get() > 0 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(stats.connections.get(), 0, "closed");
}

#[test]
fn connections_outlive_a_panic() {
    let bench = start(1, true, None, |_| ());
    let mut stream = connect(&bench);
    stream.write_all(b"one\n").expect("written");
    assert_eq!(read_some(&mut stream, 4), b"one\n");
    assert!(bench.handle.send(0, Mesh::Panic).is_ok());
    stream.write_all(b"two\n").expect("written");
    assert_eq!(read_some(&mut stream, 4), b"two\n");
    assert_eq!(bench.handle.stats(0).restarts.get(), 1);
}

#[test]
fn version_6_addresses_serve_both_transports() {
    let bench = start(2, true, None, |plan| {
        for listener in &mut plan.listeners {
            listener.address = "[::1]:0".parse().expect("an address");
        }
    });
    let socket = UdpSocket::bind("[::1]:0").expect("a free port");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    let phone = Phone(socket);
    assert_eq!(phone.ask(bench.udp, "echo six"), "echo six");
    let mut stream = connect(&bench);
    stream.write_all(b"six\n").expect("written");
    assert_eq!(read_some(&mut stream, 4), b"six\n");
}

#[test]
fn a_stopped_cluster_can_start_again_at_once() {
    let bench = start(2, true, None, |_| ());
    let (udp, tcp) = (bench.udp, bench.tcp.expect("a stream listener"));
    let mut stream = connect(&bench);
    stream.write_all(b"one\n").expect("written");
    assert_eq!(read_some(&mut stream, 4), b"one\n");
    drop(bench);
    let bench = start(2, true, None, |plan| {
        plan.listeners[0].address = udp;
        plan.listeners[1].address = tcp;
    });
    assert_eq!(Phone::new().ask(bench.udp, "echo again"), "echo again");
}
