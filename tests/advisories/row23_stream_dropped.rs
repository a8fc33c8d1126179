//! CVE-2018-7286, CVE-2020-28327: INVITEs over streams that end at a random octet, or while they are
//! answered.

use super::live;
use super::support::{SDP, invite, proxied, relayed, siege};
use ringfort_sim::stranger::After;
use shards::sim::Random;
use std::time::Duration;

#[test]
fn row23_ten_thousand_invites_over_streams_that_end() {
    for (change, seed) in [(relayed as fn(&mut _), 23), (proxied, 24)] {
        let mut siege = siege(seed, change, true);
        let mut random = Random::new(seed);
        siege.pause = 1;
        let mut lived = [0; 2];
        for (round, lived) in lived.iter_mut().enumerate() {
            let template = invite(&siege, 0, SDP).replace("SIP/2.0/UDP", "SIP/2.0/TCP");
            for number in 0..5000u64 {
                let text = template
                    .replace("z9hG4bKx0", &format!("z9hG4bKy{number:05}"))
                    .replace("m0", &format!("n{round}-{number:05}"));
                // Half end within the message, half so soon after it that the answers come too late.
                let (end, after) = match random.below(2) {
                    0 => (1 + random.below(text.len() as u64) as usize, Duration::ZERO),
                    _ => (text.len(), Duration::from_micros(random.below(2000))),
                };
                siege.stream(&[&text.as_bytes()[..end]], After::Closes(after));
                if number % 10 == 0 {
                    siege.stage.run(20);
                }
                if number % 100 == 0 {
                    siege
                        .call()
                        .unwrap_or_else(|missing| panic!("after stream {number}: {missing}"));
                }
            }
            let left = siege.rest();
            assert!(left.is_empty(), "{left:#?}");
            *lived = live::live();
        }
        let grown = lived[1] - lived[0];
        eprintln!("live memory {} octets, then {grown:+}", lived[0]);
        // The queue of events and tables may take another size.
        assert!(grown < 256 << 10, "{grown} octets stay");
    }
}
