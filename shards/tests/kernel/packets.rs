//! Datagrams, media, mesh, timers.

use super::*;

#[test]
fn datagrams_small_and_large() {
    let bench = start(2, false, None, |_| ());
    let phone = Phone::new();
    assert_eq!(phone.ask(bench.udp, "echo one"), "echo one");
    for len in [1400, 9000, 60_000, 65_507] {
        let large = format!("echo {}", "x".repeat(len - 5));
        assert_eq!(phone.ask(bench.udp, &large), large, "{len} octets");
    }
    for round in 0..5 {
        for i in 0..100 {
            phone.send(bench.udp, format!("echo {round} {i}").as_bytes());
        }
        for i in 0..100 {
            assert_eq!(
                phone.receive().0,
                format!("echo {round} {i}").as_bytes(),
                "in order, none lost"
            );
        }
    }
    let total: u64 = (0..2).map(|shard| bench.handle.stats(shard).datagrams_in.get()).sum();
    assert_eq!(total, 505);
    assert_eq!(
        bench.handle.stats(0).truncated.get() + bench.handle.stats(1).truncated.get(),
        0
    );
}

fn relay_works(change: impl FnOnce(&mut Plan)) -> Vec<String> {
    let bench = start(1, false, None, change);
    let (phone, far) = (Phone::new(), Phone::new());
    let answer = phone.ask(bench.udp, &format!("relay 0 2 {}", far.port()));
    let media: u16 = answer
        .strip_prefix("Ok(()) ")
        .and_then(|port| port.parse().ok())
        .expect(&answer);
    let to = SocketAddr::from(([127, 0, 0, 1], media));
    // More than there are receive buffers, so each is used several times; every packet whole.
    for round in 0..20u8 {
        for i in 0..50u8 {
            let mut packet = [i ^ round; 172];
            packet[0] = b'r';
            phone.send(to, &packet);
        }
        for i in 0..50u8 {
            let (packet, from) = far.receive();
            assert_eq!(from.port(), media + 2, "leaves from the other slot");
            assert_eq!(packet[0], b'R');
            assert!(packet.len() == 172 && packet[1..].iter().all(|&octet| octet == i ^ round));
        }
    }
    phone.send(to, b"?odd");
    assert_eq!(phone.receive(), (b"!odd".to_vec(), to));
    phone.send(to, &[b'r'; 3000]);
    assert_eq!(phone.ask(bench.udp, "echo x"), "echo x");
    let stats = bench.handle.stats(0);
    assert_eq!(
        (stats.media_in.get(), stats.media_out.get(), stats.truncated.get()),
        (1001, 1001, 1)
    );
    assert_eq!((stats.send_errors.get(), stats.media_open.get()), (0, 2));
    assert_eq!(bench.handle.rtp_forward(0).len(), 1000, "slot 0 is sampled");
    bench.handle.describe().to_vec()
}

#[test]
fn media_is_relayed_in_the_same_buffer() {
    let lines = relay_works(|_| ());
    assert!(
        lines.iter().any(|line| line.contains("packet ring: io_uring")),
        "{lines:?}"
    );
}

#[test]
fn media_is_relayed_without_the_newer_features() {
    let lines = relay_works(|plan| {
        plan.allow = Allow {
            min_wait: false,
            defer_taskrun: false,
            send_address: false,
        };
    });
    assert!(
        lines
            .iter()
            .any(|line| line.contains("cooperative") && line.contains("SENDMSG")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.contains("no min_wait_usec")), "{lines:?}");
}

fn pointed_media_works(change: impl FnOnce(&mut Plan)) {
    let bench = start(1, false, None, change);
    let (phone, far, stranger) = (Phone::new(), Phone::new(), Phone::new());
    let relay = |a: u32, b: u32, port: u16| -> SocketAddr {
        let answer = phone.ask(bench.udp, &format!("relay {a} {b} {port}"));
        let port = answer.strip_prefix("Ok(()) ").and_then(|port| port.parse().ok());
        SocketAddr::from(([127, 0, 0, 1], port.expect("a port")))
    };
    let to = relay(0, 2, far.port());
    let back = relay(2, 0, phone.port());
    assert_eq!(phone.ask(bench.udp, &format!("point 0 {}", phone.port())), "pointed");
    assert_eq!(phone.ask(bench.udp, &format!("point 2 {}", far.port())), "pointed");
    for round in 0..3u8 {
        // Both ways, over connected sockets; the stranger is not heard.
        stranger.send(to, b"rstranger");
        phone.send(to, &[b'r', round]);
        assert_eq!(far.receive(), (vec![b'R', round], back));
        far.send(back, &[b'r', round, 1]);
        assert_eq!(phone.receive(), (vec![b'R', round, 1], to));
    }
    assert_eq!(bench.handle.stats(0).media_in.get(), 6);
    // Somebody else is sent to from a connected socket: named in the send.
    relay(0, 2, stranger.port());
    phone.ask(bench.udp, &format!("point 0 {}", phone.port()));
    phone.send(to, b"r7");
    assert_eq!(stranger.receive().0, b"R7");
    // A peer that is gone (ICMP) costs a packet at most, and the others nothing.
    let gone = Phone::new().port();
    phone.ask(bench.udp, &format!("point 2 {gone}"));
    relay(0, 2, gone);
    phone.ask(bench.udp, &format!("point 0 {}", phone.port()));
    for _ in 0..5 {
        phone.send(to, b"r8");
        std::thread::sleep(Duration::from_millis(5));
    }
    // Pointed at nobody, and opened for the next call: all are heard again.
    phone.ask(bench.udp, "point 2 0");
    stranger.send(back, b"r9");
    assert_eq!(phone.receive().0, b"R9");
    relay(0, 2, far.port());
    stranger.send(to, b"ra");
    assert_eq!(far.receive().0, b"Ra");
    assert_eq!(phone.ask(bench.udp, "echo x"), "echo x");
}

#[test]
fn a_pointed_socket_hears_its_peer_alone() {
    pointed_media_works(|_| ());
}

#[test]
fn a_pointed_socket_hears_its_peer_alone_without_the_newer_features() {
    pointed_media_works(|plan| {
        plan.allow = Allow {
            min_wait: false,
            defer_taskrun: false,
            send_address: false,
        };
    });
}

#[test]
fn media_on_demand_waits_until_it_is_fetched() {
    let bench = start(1, false, None, |plan| plan.fetched_media = true);
    let (phone, far) = (Phone::new(), Phone::new());
    let answer = phone.ask(bench.udp, &format!("relay 0 2 {}", far.port()));
    let media: u16 = answer
        .strip_prefix("Ok(()) ")
        .and_then(|port| port.parse().ok())
        .expect(&answer);
    let to = SocketAddr::from(([127, 0, 0, 1], media));
    // An empty socket ends the reading too.
    phone.send(bench.udp, b"fetch 0");
    for _ in 0..2 {
        assert_eq!(phone.ask(bench.udp, "echo x"), "echo x", "a turn later it was read");
    }
    for count in [1, 30, 3] {
        for i in 0..count {
            phone.send(to, &[b'r', i]);
        }
        assert_eq!(phone.ask(bench.udp, "echo x"), "echo x");
        assert_eq!(
            bench.handle.stats(0).media_out.get(),
            bench.handle.stats(0).media_in.get()
        );
        far.0.set_nonblocking(true).expect("set");
        assert!(
            far.0.recv(&mut [0; 8]).is_err(),
            "nothing is read before it is asked for"
        );
        far.0.set_nonblocking(false).expect("set");
        phone.send(bench.udp, b"fetch 0");
        for i in 0..count {
            assert_eq!(far.receive().0, [b'R', i]);
        }
    }
    // More than one fetch takes: the rest waits for the next time.
    for i in 0..100u8 {
        phone.send(to, &[b'r', i]);
    }
    let mut came = 0;
    far.0.set_read_timeout(Some(Duration::from_millis(300))).expect("set");
    for _ in 0..5 {
        phone.send(bench.udp, b"fetch 0");
        while far.0.recv(&mut [0; 8]).is_ok() {
            came += 1;
        }
    }
    assert_eq!(came, 100);
    assert_eq!(bench.handle.stats(0).receive_errors.get(), 0);
}

#[test]
fn a_port_in_use_is_told() {
    let bench = start(1, false, None, |_| ());
    let phone = Phone::new();
    let media: u16 = phone
        .ask(bench.udp, "relay 4 6 9")
        .split(' ')
        .nth(1)
        .and_then(|p| p.parse().ok())
        .expect("port");
    let _taken = UdpSocket::bind(("127.0.0.1", media + 4)).expect("slot 8 is free");
    assert!(phone.ask(bench.udp, "relay 8 6 9").starts_with("Err(InUse)"));
    assert!(phone.ask(bench.udp, "relay 4000 6 9").starts_with("Err(Exhausted)"));
}

#[test]
fn the_mesh_goes_round() {
    let bench = start(2, false, None, |_| ());
    let phone = Phone::new();
    for hops in [0, 1, 7, 500] {
        assert!(
            phone.ask(bench.udp, &format!("hop {hops}")).starts_with("hopped Shard"),
            "{hops}"
        );
    }
}

#[test]
fn timers_are_not_early_and_hardly_late() {
    let bench = start(1, false, None, |_| ());
    let phone = Phone::new();
    for span in [1, 20, 150] {
        let began = Instant::now();
        let answer = phone.ask(bench.udp, &format!("timer {span}"));
        assert!(began.elapsed() >= Duration::from_millis(span), "{answer}");
        assert!(answer.starts_with("expired"), "{answer}");
    }
}

#[test]
fn idle_sleeps() {
    let bench = start(2, true, None, |_| ());
    let phone = Phone::new();
    assert_eq!(phone.ask(bench.udp, "echo x"), "echo x");
    std::thread::sleep(Duration::from_millis(300));
    let before: u64 = (0..2).map(|shard| bench.handle.stats(shard).wakeups.get()).sum();
    std::thread::sleep(Duration::from_secs(1));
    let after: u64 = (0..2).map(|shard| bench.handle.stats(shard).wakeups.get()).sum();
    assert!(after - before <= 2, "{} wake-ups in a second", after - before);
}

#[test]
fn shards_may_have_ports_of_their_own() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (program_seen, listeners) = (
        seen.clone(),
        vec![shards::ListenerPlan {
            transport: shards::ListenerKind::Datagram,
            address: any_port(),
        }],
    );
    let plan = shards::Plan {
        shards: 3,
        listeners,
        own_ports: vec![shards::ListenerId(0)],
        ..shards::Plan::default()
    };
    let cluster = shards::launch(plan, move |seat| {
        program_seen
            .lock()
            .expect("sound")
            .push(seat.listeners[0].address.port());
        Small {
            seat: seat.clone(),
            relays: std::collections::HashMap::new(),
            timers: Vec::new(),
            logged: Vec::new(),
            log: None,
        }
    })
    .expect("starts");
    let mut ports = seen.lock().expect("sound").clone();
    assert!(ports.contains(&cluster.handle().listeners()[0].address.port()));
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 3, "{ports:?}");
    cluster.stop();
}
