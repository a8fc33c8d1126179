//! NIST's 374 messages and the other seeds: whatever is said to them, a valid call goes on.

use super::besieged::{proxied, relayed, siege, twice};
use super::torture::{corpus, files, unpack};
use ringfort_sim::siege::Siege;
use ringfort_sim::stranger::After;
use std::time::Duration;

fn endure(seed: u64, messages: &[Vec<u8>]) {
    for (change, trusted) in [(relayed as fn(&mut _), true), (proxied, true), (relayed, false)] {
        let mut siege = siege(seed, change, trusted);
        let mut answered = 0;
        twice(&mut siege, 1, |siege, step| {
            for (place, octets) in messages.iter().enumerate().step_by(step) {
                if octets.len() <= 65_507 {
                    answered += usize::from(!Siege::statuses(&siege.datagram(octets).concat()).is_empty());
                }
                let (head, tail) = octets.split_at(place * 7919 % (octets.len() + 1));
                siege.stream(&[head, tail], After::Closes(Duration::from_millis(10)));
                siege
                    .call()
                    .unwrap_or_else(|missing| panic!("after message {place}: {missing}"));
            }
        });
        eprintln!("{answered} answers to {} messages", messages.len());
        assert!(answered > messages.len() / 4, "the messages are read");
    }
}

#[test]
fn nist() {
    let Some(folder) = corpus("sip-seeds/nist-jain-sip") else {
        return;
    };
    let Some(unpacked) = unpack(&folder.join("messages.tar.gz")) else {
        return;
    };
    let read = |file| std::fs::read(file).expect("a message");
    let messages: Vec<_> = files(unpacked.path()).iter().map(read).collect();
    assert_eq!(messages.len(), 374);
    endure(6, &messages);
}

#[test]
fn others() {
    let Some(folder) = corpus("sip-seeds") else { return };
    let read = |file| std::fs::read(file).expect("a message");
    let messages: Vec<_> = files(&folder)
        .iter()
        .map(read)
        .filter(|octets| octets.len() < 200_000)
        .collect();
    assert!(messages.len() > 100);
    endure(7, &messages);
}
