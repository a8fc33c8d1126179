//! Panics, full disks, lacks, refusals.

use super::*;

#[test]
fn the_log_is_written_and_survives_a_panic() {
    let folder = std::env::temp_dir().join(format!("shards-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    {
        let bench = start(1, false, Some(folder.clone()), |_| ());
        let phone = Phone::new();
        assert_eq!(phone.ask(bench.udp, "log one,"), "written");
        assert_eq!(std::fs::read(folder.join("0-0.log")).expect("log"), b"one,");
        for i in 0..100 {
            phone.send(bench.udp, format!("log {i},").as_bytes());
        }
        for _ in 0..100 {
            assert_eq!(phone.receive().0, b"written");
        }
        let expected: String = "one,".to_owned() + &(0..100).map(|i| format!("{i},")).collect::<String>();
        assert_eq!(std::fs::read_to_string(folder.join("0-0.log")).expect("log"), expected);
        let stats = bench.handle.stats(0);
        assert!(
            stats.log_groups.get() < 90,
            "written in groups: {}",
            stats.log_groups.get()
        );
        phone.send(bench.udp, b"panic");
        assert_eq!(phone.ask(bench.udp, "log after"), "written");
        assert_eq!(std::fs::read(folder.join("0-1.log")).expect("log"), b"after");
        let limit = Instant::now() + Duration::from_secs(4);
        while stats.log_syncs.get() < 2 && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(
            stats.log_syncs.get() >= 2,
            "the former file, and the present one within a second"
        );
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_panic_costs_one_program_only() {
    let bench = start(2, false, None, |_| ());
    let phones = phones_by_shard(&bench);
    let far = Phone::new();
    let answer = phones[1].ask(bench.udp, &format!("relay 0 2 {}", far.port()));
    let media: u16 = answer
        .split(' ')
        .nth(1)
        .and_then(|port| port.parse().ok())
        .expect("port");
    for round in 1..4 {
        let began = Instant::now();
        phones[0].send(bench.udp, b"panic");
        // These wait in the socket while the shard starts again.
        assert_eq!(phones[0].ask(bench.udp, "who"), format!("0 {round}"));
        assert!(
            began.elapsed() < Duration::from_millis(if round == 1 { 100 } else { 300 }),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(phones[1].ask(bench.udp, "who"), "1 0", "the other shard goes on");
        far.send(SocketAddr::from(([127, 0, 0, 1], media)), b"rtp");
        assert_eq!(far.receive().0, b"Rtp");
    }
    assert!(bench.handle.send(0, Mesh::Panic).is_ok());
    let limit = Instant::now() + Duration::from_secs(3);
    while bench.handle.stats(0).restarts.get() < 4 && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        (
            bench.handle.stats(0).restarts.get(),
            bench.handle.stats(1).restarts.get()
        ),
        (4, 0)
    );
    assert!(bench.handle.send(9, Mesh::Panic).is_err());
}

#[test]
fn an_address_in_use_is_one_sentence() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("free port");
    let address = taken.local_addr().expect("bound");
    let plan = Plan {
        listeners: vec![ListenerPlan {
            transport: ListenerKind::Datagram,
            address,
        }],
        ..Plan::default()
    };
    let factory = |_: &Seat| -> Small { unreachable!("nothing starts") };
    let error = shards::launch(plan, factory).err().expect("refused").to_string();
    assert!(error.contains(&format!("udp:{address} is in use")), "{error}");
    let bench = start(1, false, None, |_| ());
    let plan = Plan {
        listeners: vec![ListenerPlan {
            transport: ListenerKind::Datagram,
            address: bench.udp,
        }],
        ..Plan::default()
    };
    assert!(
        shards::launch(plan, factory).is_err(),
        "a second cluster cannot join the group"
    );
    let plan = Plan {
        media: MediaSlice::split(&["192.0.2.1".parse().expect("ip")], 40_000, 40_009, 1),
        ..Plan::default()
    };
    let error = shards::launch(plan, factory).err().expect("refused").to_string();
    assert!(error.contains("192.0.2.1"), "{error}");
}

#[test]
fn more_media_than_the_file_limit_is_lowered() {
    let bench = start(1, false, None, |plan| {
        plan.media = vec![MediaSlice {
            addresses: (1..40).map(|i| IpAddr::from([127, 0, 0, i])).collect(),
            first: 1024,
            ports: 64_000,
        }];
    });
    assert!(
        bench
            .handle
            .describe()
            .iter()
            .any(|line| line.contains("media ports lowered")),
        "{:?}",
        bench.handle.describe()
    );
    assert_eq!(Phone::new().ask(bench.udp, "echo x"), "echo x");
}

#[test]
fn the_log_goes_on_in_another_file() {
    let folder = std::env::temp_dir().join(format!("shards-switch-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let bench = start(1, false, Some(folder.clone()), |_| ());
    let phone = Phone::new();
    for round in 0..5 {
        assert_eq!(phone.ask(bench.udp, &format!("switch {round}")), "written");
    }
    assert_eq!(phone.ask(bench.udp, "log end;"), "written");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("log");
    assert_eq!(
        (read("0-0.log").as_str(), read("3").as_str()),
        ("before;", "after;before;")
    );
    assert_eq!(read("4"), "after;end;");
    drop(bench);
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_full_disk_is_told_and_the_shard_goes_on() {
    let folder = std::env::temp_dir().join(format!("shards-full-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let bench = start(1, false, Some(folder.clone()), |_| ());
    let phone = Phone::new();
    assert_eq!(phone.ask(bench.udp, "full"), "full");
    for _ in 0..3 {
        assert_eq!(phone.ask(bench.udp, "log x"), "lost");
    }
    assert_eq!(bench.handle.stats(0).log_failures.get(), 3);
    assert_eq!(phone.ask(bench.udp, "switch good"), "written");
    assert_eq!(std::fs::read(folder.join("good")).expect("log"), b"after;");
    drop(bench);
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_shard_short_of_buffers_recovers() {
    let bench = start(1, false, None, |plan| {
        plan.media_buffers = 8;
        plan.signal_buffers = 2;
    });
    let (phone, far) = (Phone::new(), Phone::new());
    let answer = phone.ask(bench.udp, &format!("relay 0 2 {}", far.port()));
    let media: u16 = answer
        .strip_prefix("Ok(()) ")
        .and_then(|port| port.parse().ok())
        .expect(&answer);
    let to = SocketAddr::from(([127, 0, 0, 1], media));
    for _ in 0..20 {
        for i in 0..60u8 {
            phone.send(to, &[i; 172]);
            phone.send(bench.udp, b"echo x");
        }
        // Nothing is lost: what finds no buffer waits in the socket.
        for i in 0..60u8 {
            assert_eq!(far.receive().0[1], i);
            assert_eq!(phone.receive().0, b"echo x");
        }
    }
    assert!(bench.handle.stats(0).enobufs.get() > 0, "the test is too gentle");
}

#[test]
fn a_full_mesh_gives_back() {
    let bench = start(1, false, None, |plan| plan.mesh_capacity = 4);
    let phone = Phone::new();
    // Faster than the shard answers.
    let mut refused = 0;
    for _ in 0..200_000 {
        let message = Mesh::Hop {
            left: 0,
            to: SocketAddr::from(([127, 0, 0, 1], phone.port())),
        };
        refused += u64::from(bench.handle.send(0, message).is_err());
    }
    assert!(refused > 0);
    assert_eq!(bench.handle.stats(0).ops_full.get(), refused);
}
