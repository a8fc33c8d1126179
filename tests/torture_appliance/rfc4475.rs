//! RFC 4475: what the appliance says to each message, to a stranger and to a trusted peer.

use super::besieged::{proxied, relayed, siege, twice};
use super::torture::corpus;
use ringfort_sim::siege::Siege;
use ringfort_sim::stranger::After;
use std::path::Path;
use std::time::Duration;

/// A message with the final statuses (0: none): to a stranger, to a trusted peer whose call is
/// relayed, to one whose call is proxied (the called end is busy then), and why.
type Row = (&'static str, u16, u16, u16, &'static str);

/// 407 and 401: the message was understood, and its sender has to prove who it is.
#[rustfmt::skip]
const VERDICTS: &[Row] = &[
    ("wsinv",      481, 481, 481, "3.1.1.1: it has a To tag, and no dialog of ours has that name"),
    ("intmeth",    407, 200, 200, "3.1.1.2: a proxy passes unknown methods on"),
    ("esc01",      407, 200, 486, "3.1.1.3"),
    ("escnull",    401, 401, 401, "3.1.1.4"),
    ("esc02",      407, 403, 403, "3.1.1.5: rejected by its Request-URI, another domain"),
    ("lwsdisp",    407, 200, 200, "3.1.1.6"),
    ("longreq",    407, 200, 486, "3.1.1.7"),
    ("dblreq",     401, 401, 401, "3.1.1.8: one answer, the INVITE behind it is noise"),
    ("semiuri",    407, 200, 200, "3.1.1.9"),
    ("transports", 407, 200, 200, "3.1.1.10"),
    ("mpart01",    407, 200, 200, "3.1.1.11"),
    ("unreason",     0,   0,   0, "3.1.1.12: a response to nothing of ours"),
    ("noreason",     0,   0,   0, "3.1.1.13: a response to nothing of ours"),
    ("badinv01",   400, 400, 400, "3.1.2.1"),
    ("clerr",      400, 400, 400, "3.1.2.2"),
    ("ncl",        400, 400, 400, "3.1.2.3"),
    ("scalar02",   400, 400, 400, "3.1.2.4"),
    ("scalarlg",     0,   0,   0, "3.1.2.5: responses are dropped"),
    ("quotbal",    400, 400, 400, "3.1.2.6"),
    ("ltgtruri",   400, 400, 400, "3.1.2.7"),
    ("lwsruri",    400, 400, 400, "3.1.2.8"),
    ("lwsstart",   400, 400, 400, "3.1.2.9"),
    ("trws",       400, 400, 400, "3.1.2.10"),
    ("escruri",    400, 400, 400, "3.1.2.11"),
    ("baddate",    407, 200, 486, "3.1.2.12: Date means nothing to us"),
    ("regbadct",   401, 401, 401, "3.1.2.13: Contact is read after the credentials"),
    ("badaspec",   400, 400, 400, "3.1.2.14"),
    ("baddn",      400, 400, 400, "3.1.2.15"),
    ("badvers",    505, 505, 505, "3.1.2.16"),
    ("mismatch01", 400, 400, 400, "3.1.2.17"),
    ("mismatch02", 501, 501, 501, "3.1.2.18"),
    ("bigcode",      0,   0,   0, "3.1.2.19: responses are dropped"),
    ("badbranch",  407, 200, 200, "3.2.1: matched as RFC 2543 does"),
    ("insuf",      400, 400, 400, "3.3.1"),
    ("unkscm",     416, 416, 416, "3.3.2"),
    ("novelsc",    416, 416, 416, "3.3.3"),
    ("unksm2",     400, 400, 400, "3.3.4"),
    ("bext01",     420, 420, 420, "3.3.5"),
    ("invut",      407, 415, 486, "3.3.6: a relayed call has audio to negotiate, a proxied one is passed on"),
    ("regaut01",   401, 401, 401, "3.3.7"),
    ("multi01",    400, 400, 400, "3.3.8"),
    ("mcl01",      400, 400, 400, "3.3.9"),
    ("bcast",        0,   0,   0, "3.3.10: never sent to 255.255.255.255"),
    ("zeromf",     483, 483, 483, "3.3.11"),
    ("cparam01",   401, 401, 401, "3.3.12"),
    ("cparam02",   401, 401, 401, "3.3.13"),
    ("regescrt",   401, 401, 401, "3.3.14"),
    ("sdp01",      407, 200, 486, "3.3.15"),
    ("inv2543",    407, 400, 486, "3.4.1: it has no Contact, so a B2BUA has nobody to speak to (RFC 3261 section 12.1.1)"),
];

/// Where a stream differs: the final statuses to a stranger, and whether the connection is closed.
#[rustfmt::skip]
const STREAMED: &[(&str, &[u16], bool, &str)] = &[
    ("clerr",   &[],         false, "3.1.2.2: the missing octets are waited for"),
    ("baddn",   &[],         false, "the file's Content-Length is larger than its body"),
    ("dblreq",  &[401, 407], true,  "on a stream the second request is one; no message begins with the octets behind it"),
    ("ncl",     &[400],      true,  "3.1.2.3: where the next message begins cannot be known"),
    ("mcl01",   &[400],      true,  "3.3.9: the same"),
    ("inv2543", &[400],      true,  "RFC 3261 section 18.3: no Content-Length on a stream"),
];

fn read(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join(format!("{file}.dat"))).expect("a message")
}

fn finals(heard: &[u8]) -> Vec<u16> {
    let mut statuses = Siege::statuses(heard);
    statuses.retain(|&status| status >= 200);
    statuses
}

#[test]
fn datagrams() {
    let Some(folder) = corpus("rfc4475") else { return };
    assert_eq!(VERDICTS.len(), 49);
    for (place, change, trusted) in [
        (0, relayed as fn(&mut _), false),
        (1, relayed, true),
        (2, proxied, true),
    ] {
        let mut siege = siege(3, change, trusted);
        siege.pause = 200;
        let mut wrong = Vec::new();
        twice(&mut siege, 1, |siege, step| {
            for &(file, stranger, relayed, proxied, why) in VERDICTS.iter().step_by(step) {
                let wanted = [stranger, relayed, proxied][place];
                // An answer that is not acknowledged comes again.
                let mut got = finals(&siege.datagram(&read(&folder, file)).concat());
                got.dedup();
                let wanted: &[u16] = if wanted == 0 { &[] } else { &[wanted] };
                if got != wanted {
                    wrong.push(format!("{file}: {got:?}, not {wanted:?} ({why})"));
                }
                siege.call().unwrap_or_else(|missing| panic!("after {file}: {missing}"));
                siege.settle();
            }
        });
        assert!(wrong.is_empty(), "{place}: {wrong:#?}");
    }
}

/// Each message whole, octet by octet, and in two pieces at every octet: the same verdicts.
#[test]
fn streams_cut_at_every_octet() {
    let Some(folder) = corpus("rfc4475") else { return };
    let mut siege = siege(4, relayed, false);
    let mut cuts = 0;
    twice(&mut siege, 4, |siege, step| {
        for &(file, stranger, ..) in VERDICTS.iter().step_by(step) {
            let octets = read(&folder, file);
            let whole: &[u16] = if stranger == 0 { &[] } else { &[stranger] };
            let exception = STREAMED.iter().find(|row| row.0 == file);
            let (wanted, closed) = exception.map_or((whole, false), |row| (row.1, row.2));
            let single: Vec<&[u8]> = octets.chunks(1).collect();
            for cut in 0..=octets.len() {
                let (head, tail) = octets.split_at(cut);
                let pieces = if cut == 0 { single.clone() } else { vec![head, tail] };
                // Octets written one by one take up to 0.2 ms each.
                let millis = if cut == 0 { octets.len() as u64 / 4 } else { 4 };
                siege.pause = millis + 2;
                let heard = siege.stream(&pieces, After::Closes(Duration::from_millis(millis)));
                assert_eq!(finals(&heard), wanted, "{file} cut at {cut}");
                cuts += 1;
                if cut % 16 == 0 {
                    siege
                        .call()
                        .unwrap_or_else(|missing| panic!("{file} cut at {cut}: {missing}"));
                }
            }
            siege.stream(&[&octets], After::Stays);
            let before = siege.open();
            siege.stage.run(700);
            assert_eq!(before - siege.open(), usize::from(closed), "{file}: closed by us");
        }
        siege.hang_up();
    });
    eprintln!("{cuts} connections");
}
