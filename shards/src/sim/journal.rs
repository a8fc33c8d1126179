//! A shard's log in the simulator: one group in flight, files that outlive the process.

use super::Random;
use crate::outbox::Outbox;
use crate::program::Written;
use std::collections::VecDeque;

enum Item {
    Group { octets: Vec<u8>, upto: u64 },
    Switch(u64),
}

/// The log of one shard.
#[derive(Default)]
pub(super) struct Journal {
    files: Vec<(u64, Vec<u8>)>,
    current: Option<usize>,
    queue: VecDeque<Item>,
    flight: Option<(Vec<u8>, u64)>,
    /// Switches of the present batch, with their log offsets.
    pub(super) switches: Vec<(u64, u64)>,
    pub(super) failing: bool,
    /// The program that logged the group in flight still runs.
    report: bool,
}

impl Journal {
    pub(super) fn file(&self, serial: u64) -> &[u8] {
        self.files
            .iter()
            .find(|(number, _)| *number == serial)
            .map_or(&[], |(_, octets)| octets)
    }

    pub(super) fn serials(&self) -> Vec<u64> {
        self.files.iter().map(|(serial, _)| *serial).collect()
    }

    /// Takes what the batch logged; true when a write was started.
    pub(super) fn batch_end(&mut self, outbox: &mut Outbox) -> bool {
        if !self.switches.is_empty() || (self.flight.is_none() && !outbox.log_pending().is_empty()) {
            let mut octets = Vec::new();
            let upto = outbox.take_log(&mut octets);
            let base = upto - octets.len() as u64;
            let mut cut = 0;
            for (at, serial) in self.switches.drain(..) {
                let end = ((at - base) as usize).clamp(cut, octets.len());
                self.queue.push_back(Item::Group {
                    octets: octets[cut..end].to_vec(),
                    upto: at,
                });
                self.queue.push_back(Item::Switch(serial));
                cut = end;
            }
            self.queue.push_back(Item::Group {
                octets: octets.split_off(cut),
                upto,
            });
        }
        self.start()
    }

    fn start(&mut self) -> bool {
        while self.flight.is_none() {
            match self.queue.pop_front() {
                None => return false,
                Some(Item::Switch(serial)) => {
                    let known = self.files.iter().position(|(number, _)| *number == serial);
                    self.current = Some(known.unwrap_or_else(|| {
                        self.files.push((serial, Vec::new()));
                        self.files.len() - 1
                    }));
                }
                Some(Item::Group { octets, .. }) if octets.is_empty() => {}
                Some(Item::Group { octets, upto }) => {
                    self.flight = Some((octets, upto));
                    self.report = true;
                    return true;
                }
            }
        }
        false
    }

    /// The write in flight ends; what to tell the program, and whether the next one started.
    pub(super) fn written(&mut self) -> (Option<Written>, bool) {
        let Some((octets, upto)) = self.flight.take() else {
            return (None, false);
        };
        let file = self.current.and_then(|current| self.files.get_mut(current));
        let ok = match file {
            Some((_, file)) if !self.failing => {
                file.extend_from_slice(&octets);
                true
            }
            _ => false,
        };
        let report = self.report.then_some(Written { upto, ok });
        (report, self.start())
    }

    /// The program is gone; its groups are still written, but nobody hears of it.
    pub(super) fn program_gone(&mut self) {
        self.report = false;
        self.switches.clear();
    }

    /// The process is gone: of the group in flight any part may have been written.
    pub(super) fn process_gone(&mut self, random: &mut Random) {
        self.program_gone();
        self.queue.clear();
        let torn = self.flight.take();
        if let (Some((octets, _)), Some((_, file))) = (
            torn,
            self.current.take().and_then(|current| self.files.get_mut(current)),
        ) {
            let part = random.below(octets.len() as u64 + 1) as usize;
            file.extend_from_slice(&octets[..part]);
        }
    }
}
