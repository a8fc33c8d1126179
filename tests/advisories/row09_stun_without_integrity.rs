//! CVE-2026-116790: a STUN binding request never changes where audio goes. Rows 13 and 26 and 34
//! fuzz the same ports.

use super::torture;
use ringfort_sim::phone::{Answer, Habits};
use ringfort_sim::siege::STRANGER;
use ringfort_sim::stage::{Setup, Stage};
use ringfort_sim::stranger::{Manner, Stranger};
use shards::sim::{EndpointId, Happening};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// A relayed call under way; who hears, the stranger, the media ports in use.
pub(super) fn talking(seed: u64) -> (Stage, [EndpointId; 2], EndpointId, Vec<SocketAddr>) {
    let mut stage = Stage::new(Setup {
        seed,
        change: super::support::relayed,
        ..Setup::default()
    });
    let quick = || Habits {
        answer: Answer::After(Duration::from_millis(200)),
        ..Habits::default()
    };
    let alice = stage.registered("alice", quick());
    let bob = stage.registered("bob", quick());
    let stranger = stage
        .world
        .add_endpoint(&[STRANGER], Stranger::new(STRANGER, Manner::Silent));
    let ports = Rc::new(RefCell::new(BTreeSet::new()));
    let seen = ports.clone();
    stage.world.observe(Box::new(move |observed| {
        if let Happening::Sent { to, .. } = observed.what
            && to.ip() == ringfort_sim::stage::SERVER.ip()
            && to.port() >= 20_000
        {
            seen.borrow_mut().insert(to);
        }
    }));
    let number = stage.name("bob");
    stage.act(alice, |phone, cx| phone.call(cx, &number));
    stage.run(3000);
    assert_eq!(stage.look(alice).leg().status, 200);
    let ports: Vec<SocketAddr> = ports.borrow().iter().copied().collect();
    assert!(ports.len() >= 2, "{ports:?}");
    (stage, [alice, bob], stranger, ports)
}

/// Sends datagrams to every media port; the call goes on undisturbed and the sender hears nothing.
pub(super) fn spray(seed: u64, datagrams: &[Vec<u8>]) {
    let (mut stage, phones, stranger, ports) = talking(seed);
    let before = phones.map(|id| stage.look(id).leg().heard);
    for (number, octets) in datagrams.iter().enumerate() {
        for port in &ports {
            // RTCP ports lie beside.
            for to in [*port, SocketAddr::new(port.ip(), port.port() ^ 1)] {
                stage
                    .world
                    .with_endpoint(stranger, |_, cx| cx.send(STRANGER, to, octets));
            }
        }
        if number % 16 == 15 {
            stage.run(1);
        }
    }
    stage.run(3000);
    let heard = stage.world.endpoint::<Stranger>(stranger).map(|end| end.heard.len());
    assert_eq!(heard, Some(0), "the stranger hears nothing of the call");
    for (id, before) in phones.into_iter().zip(before) {
        assert!(stage.look(id).leg().heard > before + 20, "audio goes on");
        assert!(stage.look(id).strange.is_empty(), "{:?}", stage.look(id).strange);
    }
    stage.act(phones[0], |phone, cx| phone.hang_up(cx, 0));
    stage.rest(1);
}

/// A binding request: no integrity, or one that is wrong.
fn binding(attributes: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 1];
    out.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    out.extend_from_slice(&0x2112_a442u32.to_be_bytes());
    out.extend_from_slice(b"twelve octet");
    out.extend_from_slice(attributes);
    out
}

#[test]
fn row09_binding_requests_change_no_address() {
    let mut integrity = vec![0, 8, 0, 20];
    integrity.extend_from_slice(&[0x55; 20]);
    let candidate = [0, 0x25, 0, 0]; // USE-CANDIDATE
    let requests = [&[][..], &integrity, &candidate].map(binding);
    let many: Vec<Vec<u8>> = requests.iter().cycle().take(300).cloned().collect();
    spray(9, &many);
}

/// Rows 13: every attribute length, and every truncation of each seed.
#[test]
fn row13_stun_attribute_lengths_and_truncations() {
    let mut datagrams = Vec::new();
    for kind in [0x0001u16, 0x0006, 0x0008, 0x0009, 0x0020, 0x8028, 0xffff] {
        for length in [0u16, 1, 3, 4, 7, 8, 20, 0x7fff, 0x8000, 0xfffc, 0xffff] {
            let mut attribute = kind.to_be_bytes().to_vec();
            attribute.extend_from_slice(&length.to_be_bytes());
            attribute.extend_from_slice(&[0; 24]);
            let whole = binding(&attribute);
            for end in [4, 19, 20, 22, 24, 28, whole.len()] {
                datagrams.push(whole[..end].to_vec());
            }
        }
    }
    if let Some(folder) = torture::corpus("media-seeds/pjsip-stun") {
        for file in torture::files(&folder) {
            let octets = std::fs::read(file).expect("a seed");
            datagrams.extend((0..=octets.len().min(400)).map(|end| octets[..end].to_vec()));
        }
    }
    datagrams.retain(|octets| !octets.is_empty());
    spray(13, &datagrams);
}
