//! RFC 5118: messages for IPv6.

use super::besieged::{proxied, relayed, siege, twice};
use super::torture::{corpus, files, table};
use ringfort_sim::siege::Siege;
use ringfort_sim::stranger::After;
use std::time::Duration;

/// Each as the section's verdict wants it, as shipped (bare LF) and with the line ends of SIP; as a
/// datagram, whole over a stream, and cut in two at every octet.
#[test]
fn datagrams_and_streams() {
    let Some(folder) = corpus("rfc5118") else { return };
    for (change, trusted) in [(relayed as fn(&mut _), false), (relayed, true), (proxied, true)] {
        let mut siege = siege(5, change, trusted);
        twice(&mut siege, 1, |siege, step| {
            for row in table(&folder.join("verdicts.tsv")).iter().step_by(step) {
                let octets = std::fs::read(folder.join("wire").join(format!("{}.dat", row[0]))).expect("a message");
                siege.pause = 20;
                let got = Siege::statuses(&siege.datagram(&octets).concat());
                siege
                    .call()
                    .unwrap_or_else(|missing| panic!("after {}: {missing}", row[0]));
                let refused = row[2] != "valid";
                assert_eq!(got.contains(&400), refused, "{}: {got:?}", row[0]);
                siege.pause = 5;
                for cut in 0..if trusted { 0 } else { octets.len() } {
                    let (head, tail) = octets.split_at(cut);
                    let after = After::Closes(Duration::from_millis(4));
                    let got = Siege::statuses(&siege.stream(&[head, tail], after));
                    assert_eq!(got.contains(&400), refused, "{} cut at {cut}: {got:?}", row[0]);
                }
                siege
                    .call()
                    .unwrap_or_else(|missing| panic!("after {} in pieces: {missing}", row[0]));
            }
            for file in files(&folder.join("archive")) {
                let octets = std::fs::read(&file).expect("a message");
                siege.datagram(&octets);
                siege.stream(&[&octets], After::Closes(Duration::from_millis(4)));
                siege
                    .call()
                    .unwrap_or_else(|missing| panic!("after {}: {missing}", file.display()));
            }
        });
    }
}
