//! PROTOS c07-sip, all 4,527 cases.

use super::besieged::{proxied, relayed, siege, twice};
use super::torture::{corpus, files, protos, unpack};
use ringfort_sim::stage::DOMAIN;
use ringfort_sim::stranger::After;
use std::time::Duration;

fn cases(number: &str) -> Option<Vec<Vec<Vec<u8>>>> {
    let unpacked = unpack(&corpus("protos-c07-sip")?.join("testcases.tar.gz"))?;
    let names = files(unpacked.path());
    let read = |(place, file): (usize, &std::path::PathBuf)| {
        protos::filled(
            &std::fs::read(file).expect("a case"),
            place,
            &format!("{number}@{DOMAIN}"),
            "10.9.0.66",
        )
    };
    let cases: Vec<_> = names.iter().enumerate().map(read).collect();
    assert_eq!(cases.len(), 4527);
    Some(cases)
}

#[test]
fn datagrams() {
    let mut siege = siege(1, relayed, true);
    let Some(cases) = cases(&siege.number) else { return };
    twice(&mut siege, 1, |siege, step| {
        for (place, case) in cases.iter().enumerate().step_by(step) {
            for packet in case.iter().filter(|packet| packet.len() <= 65_507) {
                siege.datagram(packet);
            }
            siege
                .call()
                .unwrap_or_else(|missing| panic!("after case {place}: {missing}"));
        }
    });
}

#[test]
fn streams() {
    let mut siege = siege(2, proxied, true);
    let Some(cases) = cases(&siege.number) else { return };
    twice(&mut siege, 1, |siege, step| {
        for (place, case) in cases.iter().enumerate().step_by(step) {
            let packets: Vec<&[u8]> = case.iter().map(|packet| &packet[..]).collect();
            siege.stream(&packets, After::Closes(Duration::from_millis(10)));
            siege
                .call()
                .unwrap_or_else(|missing| panic!("after case {place}: {missing}"));
        }
    });
}
