//! RFC 5393 and RFC 7332: whoever leads requests back to us, their number stays bounded.

use super::support::{SDP, invite, proxied, relayed, siege};
use ringfort::config::Plan;
use ringfort::config::plan::{Cidr, Trunk};
use ringfort_sim::phone::{HOME, Habits};
use ringfort_sim::siege::{CALLEE, STRANGER, Siege};
use ringfort_sim::stage::{SERVER, Setup, Stage};
use ringfort_sim::stranger::{Manner, Stranger};
use shards::sim::{Endpoint, EndpointCx, Happening};
use std::any::Any;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

/// A proxy that sends every INVITE back to where it came from, once or twice, to the same number or
/// to another: the AORs that forward to each other stand behind it.
struct Mirror {
    copies: u32,
    next: Next,
    serial: u32,
}

/// Whom a mirror calls.
enum Next {
    Same,
    Fresh,
    To(String),
}

impl Mirror {
    fn new(copies: u32, next: Next) -> Self {
        Self {
            copies,
            next,
            serial: 0,
        }
    }
}

impl Endpoint for Mirror {
    fn datagram(&mut self, cx: &mut EndpointCx<'_>, to: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if let Some(rest) = text.strip_prefix("SIP/2.0 ") {
            // Responses go on down the Vias; a final one to an INVITE is acknowledged.
            let Some((first, rest)) = rest.split_once("\r\nVia: ") else {
                return;
            };
            let Some((own, below)) = rest.split_once("\r\n") else {
                return;
            };
            let status = first.get(..3).unwrap_or("0");
            if status >= "300" && text.contains("INVITE\r\n") {
                let line = |name: &str| {
                    text.lines()
                        .find(|line| line.starts_with(name))
                        .unwrap_or("")
                        .to_owned()
                };
                let ack = format!(
                    "ACK sip:x@{SERVER} SIP/2.0\r\nVia: {own}\r\nMax-Forwards: 70\r\n{}\r\n{}\r\n{}\r\n{}\r\nContent-Length: 0\r\n\r\n",
                    line("From"),
                    line("To"),
                    line("Call-ID"),
                    line("CSeq").replace("INVITE", "ACK")
                );
                cx.send(to, from, ack.as_bytes());
            }
            if status > "100" {
                cx.send(to, from, format!("SIP/2.0 {first}\r\n{below}").as_bytes());
            }
            return;
        }
        if !text.starts_with("INVITE ") {
            return;
        }
        let hops = text
            .lines()
            .find_map(|line| line.strip_prefix("Max-Forwards: ")?.trim().parse::<u32>().ok());
        let Some(hops) = hops.and_then(|hops| hops.checked_sub(1)) else {
            return;
        };
        for copy in 0..self.copies {
            self.serial += 1;
            let number = match &self.next {
                Next::Same => "0123".into(),
                Next::Fresh => format!("{}{copy}", 1000 + self.serial),
                Next::To(number) => number.clone(),
            };
            let (_, rest) = text.split_once("\r\n").unwrap_or(("", ""));
            let rest = rest.replace(&format!("Max-Forwards: {}", hops + 1), &format!("Max-Forwards: {hops}"));
            let back = format!(
                "INVITE sip:{number}@{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {to};branch=z9hG4bKm{}\r\n{rest}",
                self.serial
            );
            cx.send(to, from, back.as_bytes());
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// Counts the INVITEs of the appliance.
fn counted(stage: &mut Stage) -> Rc<Cell<u64>> {
    let count = Rc::new(Cell::new(0u64));
    let counter = count.clone();
    stage.world.observe(Box::new(move |observed| {
        if let Happening::Sent { from, octets, .. } = observed.what
            && from == SERVER
            && octets.starts_with(b"INVITE ")
        {
            counter.set(counter.get() + 1);
        }
    }));
    count
}

/// How many INVITEs one makes, all in all.
fn storm(change: fn(&mut Plan), copies: u32, next: Next) -> u64 {
    let mut siege: Siege = siege(36, change, true);
    // What the mirror sends needs no credentials.
    siege.stage.reload(|plan| {
        plan.trunks[0].trusted.push(Cidr {
            network: CALLEE.ip(),
            prefix: 32,
        });
    });
    siege.stage.world.add_endpoint(&[CALLEE], Mirror::new(copies, next));
    let count = counted(&mut siege.stage);
    let text = invite(&siege, 1, SDP).replace(&siege.number.clone(), "0123");
    siege
        .stage
        .world
        .with_endpoint(siege.stranger, |_, cx| cx.send(STRANGER, SERVER, text.as_bytes()));
    siege.stage.run(700_000);
    count.get()
}

/// The very same request that comes back is a loop: 482 at once. The mirror calls us by our address,
/// and so its first request is another than the caller's.
#[test]
fn row36_a_proxied_loop_is_seen_at_its_first_return() {
    for copies in [1, 2] {
        let count = storm(proxied, copies, Next::Same);
        assert!(count <= 1 + u64::from(copies), "{count} INVITEs");
    }
}

/// Two AORs with two contacts each that lead to one another: the tree of branches is bounded by
/// Max-Breadth (RFC 5393 section 5.3), through the proxy and through the B2BUA. Without it a B2BUA
/// would make two to the power of 34.
#[test]
fn row36_two_aors_that_fork_to_each_other() {
    for change in [proxied as fn(&mut Plan), relayed] {
        let mut stage = Stage::new(Setup {
            change,
            ..Setup::default()
        });
        let numbers = [stage.name("bob"), stage.name("carol")];
        for (place, stem) in ["bob", "bob", "carol", "carol"].into_iter().enumerate() {
            stage.registered(stem, Habits::default());
            let home = SocketAddr::new([10, 0, 1, place as u8 + 1].into(), HOME);
            let next = Next::To(numbers[1 - place / 2].clone());
            stage.world.add_endpoint(&[home], Mirror::new(1, next));
        }
        stage.reload(|plan| {
            plan.trunks.push(Trunk {
                name: "phones".into(),
                targets: Vec::new(),
                trusted: vec![Cidr {
                    network: [10, 0, 1, 0].into(),
                    prefix: 24,
                }],
            });
        });
        let count = counted(&mut stage);
        let from = SocketAddr::new([10, 0, 1, 99].into(), 5060);
        let first = format!(
            "INVITE sip:{}@{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKf;rport\r\nMax-Forwards: 70\r\nFrom: <sip:m@x>;tag=f\r\n\
             To: <sip:b@x>\r\nCall-ID: f\r\nCSeq: 1 INVITE\r\nContact: <sip:m@{from}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{SDP}",
            numbers[0],
            SDP.len()
        );
        let caller = stage.world.add_endpoint(&[from], Stranger::new(from, Manner::Silent));
        stage
            .world
            .with_endpoint(caller, |_, cx| cx.send(from, SERVER, first.as_bytes()));
        stage.run(700_000);
        let count = count.get();
        eprintln!("{count} INVITEs");
        assert!((3..=60 * 70).contains(&count), "{count} INVITEs");
        for shard in 0..2 {
            assert_eq!(stage.world.program(shard).leftovers(), Default::default());
        }
    }
}

/// A spiral to ever new numbers is no loop; Max-Forwards ends it.
#[test]
fn row36_a_spiral_ends_with_max_forwards() {
    for change in [proxied as fn(&mut Plan), relayed] {
        let count = storm(change, 1, Next::Fresh);
        assert!((10..=80).contains(&count), "{count} INVITEs");
    }
}

/// A B2BUA counts Max-Forwards down (RFC 7332), so that a loop through it ends.
#[test]
fn row36_a_relayed_loop_ends_with_max_forwards() {
    let count = storm(relayed, 1, Next::Same);
    assert!((10..=80).contains(&count), "{count} INVITEs");
}
