//! Media past the kernel's IP stack (AF_XDP), at the loopback device of a network namespace of the test's own.
//! That needs root; elsewhere these tests say that they are left out.
#![allow(unsafe_code)]

use super::*;

/// Runs `test` in a thread in a new network namespace, with its loopback device up.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: no memory is involved; on Linux this moves the calling thread alone.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!(
                "left out: no network namespace can be made ({})",
                std::io::Error::last_os_error()
            );
            return;
        }
        lo_up();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn lo_up() {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    // SAFETY: zeros are a valid ifreq; the kernel reads and writes a live one.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
        assert_eq!(libc::ioctl(fd, libc::SIOCSIFFLAGS as _, &raw const request), 0);
    }
}

fn accept_what_is_injected() {
    for setting in ["route_localnet", "accept_local"] {
        std::fs::write(format!("/proc/sys/net/ipv4/conf/lo/{setting}"), "1").expect("a setting");
    }
}

fn express(plan: &mut Plan) {
    plan.xdp = vec!["lo".to_owned()];
}

fn relay(bench: &Bench, phone: &Phone, a: u32, b: u32, port: u16) -> SocketAddr {
    let answer = phone.ask(bench.udp, &format!("relay {a} {b} {port}"));
    let port = answer.strip_prefix("Ok(()) ").and_then(|port| port.parse().ok());
    SocketAddr::from(([127, 0, 0, 1], port.expect(&answer)))
}

#[test]
fn media_goes_past_the_kernel_both_ways() {
    in_namespace(|| {
        accept_what_is_injected();
        let bench = start(1, false, None, express);
        let lines = bench.handle.describe();
        assert!(
            lines.iter().any(|line| line.starts_with("media: AF_XDP at lo")),
            "{lines:?}"
        );
        let (phone, far) = (Phone::new(), Phone::new());
        let to = relay(&bench, &phone, 0, 2, far.port());
        let back = relay(&bench, &phone, 2, 0, phone.port());
        // Nobody was heard from the far end: this one leaves by the socket.
        phone.send(to, b"r first");
        assert_eq!(far.receive(), (b"R first".to_vec(), back));
        let stats = bench.handle.stats(0);
        assert_eq!(
            (stats.xdp_in.get(), stats.xdp_out.get(), stats.media_out.get()),
            (1, 0, 1)
        );
        // Each length, odd and even: the kernel looks at the checksums of what reaches it.
        for round in 0..20u8 {
            for len in 1..=60usize {
                let mut packet = vec![round ^ len as u8; len * 3];
                packet[0] = b'r';
                far.send(back, &packet);
                phone.send(to, &packet);
            }
            for len in 1..=60usize {
                for (end, source) in [(&phone, to), (&far, back)] {
                    let (packet, from) = end.receive();
                    assert_eq!((packet.len(), packet[0], from), (len * 3, b'R', source));
                    assert!(packet[1..].iter().all(|&octet| octet == round ^ len as u8));
                }
            }
        }
        assert_eq!((stats.xdp_in.get(), stats.media_in.get()), (2401, 2401));
        // The far end is known from its first packet on.
        assert_eq!((stats.xdp_out.get(), stats.media_out.get()), (2400, 2401));
        // What the program makes of an odd packet leaves as well.
        phone.send(to, b"?odd");
        assert_eq!(phone.receive(), (b"!odd".to_vec(), to));
        // Longer than a frame's room: the socket takes it, and refuses it.
        phone.send(to, &[b'r'; 3000]);
        // A port of the range that is not open is not ours.
        let other = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], to.port() + 9))).expect("a free port");
        other.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        phone.send(other.local_addr().expect("bound"), b"other");
        assert_eq!(other.recv(&mut [0; 8]).expect("an octet or more"), 5);
        assert_eq!(phone.ask(bench.udp, "echo x"), "echo x");
        assert_eq!(
            (stats.truncated.get(), stats.send_errors.get(), stats.xdp_dropped.get()),
            (1, 0, 0)
        );
        assert_eq!(bench.handle.rtp_forward(0).len(), 1201, "slot 0 is sampled");
        // A new call on the port begins with the socket.
        let before = stats.xdp_out.get();
        relay(&bench, &phone, 0, 2, far.port());
        phone.send(to, b"r again");
        assert_eq!(far.receive().0, b"R again");
        assert_eq!(stats.xdp_out.get(), before);
    });
}

#[test]
fn a_burst_is_taken_whole() {
    in_namespace(|| {
        accept_what_is_injected();
        let bench = start(1, false, None, express);
        let (phone, far) = (Phone::new(), Phone::new());
        let to = relay(&bench, &phone, 0, 2, far.port());
        let back = relay(&bench, &phone, 2, 0, phone.port());
        far.send(back, b"r");
        phone.receive();
        for round in 0..100u8 {
            for i in 0..100u8 {
                phone.send(to, &[b'r', round, i]);
            }
            for i in 0..100u8 {
                assert_eq!(far.receive().0, [b'R', round, i], "in order, none lost");
            }
        }
        let stats = bench.handle.stats(0);
        assert_eq!((stats.xdp_out.get(), stats.xdp_dropped.get()), (10_000, 0));
    });
}

#[test]
fn a_shard_without_a_queue_has_its_sockets() {
    in_namespace(|| {
        accept_what_is_injected();
        let bench = start(2, false, None, express);
        let lines = bench.handle.describe();
        assert!(
            lines.iter().any(|line| line.contains("no queue for the shard")),
            "{lines:?}"
        );
        for _ in 0..20 {
            // A port of its own each time: some land at either shard.
            let (phone, far) = (Phone::new(), Phone::new());
            let to = relay(&bench, &phone, 0, 2, far.port());
            phone.send(to, b"r");
            assert_eq!(far.receive().0, b"R");
        }
        let stats = |shard| bench.handle.stats(shard);
        assert_eq!(stats(0).media_in.get() + stats(1).media_in.get(), 20);
        assert_eq!(
            (stats(0).xdp_in.get(), stats(1).xdp_in.get()),
            (stats(0).media_in.get(), 0)
        );
    });
}

#[test]
fn what_stands_in_the_way_is_said() {
    in_namespace(|| {
        let plan = |device: &str| Plan {
            media: media_ports(1, 32),
            xdp: vec![device.to_owned()],
            ..Plan::default()
        };
        let refused = |plan: Plan| {
            let factory = |seat: &Seat| Small {
                seat: seat.clone(),
                relays: HashMap::new(),
                timers: Vec::new(),
                logged: Vec::new(),
                log: None,
            };
            shards::launch(plan, factory).err().expect("refused").to_string()
        };
        let text = refused(plan("lo"));
        assert!(text.contains("sysctl -w net.ipv4.conf.lo.route_localnet=1"), "{text}");
        let text = refused(plan("nosuch0"));
        assert!(text.contains("no network device nosuch0"), "{text}");
        accept_what_is_injected();
        let mut sixth = plan("lo");
        sixth.media = MediaSlice::split(&["::1".parse().expect("an address")], 40_000, 40_031, 1);
        let text = refused(sixth);
        assert!(text.contains("IPv4"), "{text}");
        let bench = start(1, false, None, express);
        let text = refused(plan("lo"));
        assert!(text.contains("lo is taken"), "{text}");
        // After the end it is free at once.
        drop(bench);
        start(1, false, None, express);
    });
}
