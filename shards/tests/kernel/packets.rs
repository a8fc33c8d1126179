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
