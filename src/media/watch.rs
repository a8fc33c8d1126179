//! What happens by the clock and at the end: music, silence, one-way audio, quarantine, reports.

use super::Media;
use super::call::Stream;
use super::flow::Flows;
use super::negotiate::clear;
use super::types::{CallMedia, MediaEvent, MediaReport, Side, SideReport, StreamReport};
use shards::{Outbox, Slot, Time};
use std::time::Duration;

impl Media {
    /// When [`Media::expire`] wants to be called next; `None` while there is nothing to wait for.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let sweep = (self.calls.len() > 0 || self.ports.is_resting()).then_some(self.sweep.next);
        sweep.into_iter().chain(self.music.deadline()).min()
    }

    /// The deadline has come: sends music, looks for silence, lets ports rest out.
    pub fn expire(&mut self, now: Time, out: &mut Outbox, events: &mut Vec<MediaEvent>) {
        self.now = now;
        self.music.tick(now, &self.flows, out, &mut self.counters);
        if now < self.sweep.next {
            return;
        }
        self.ports.expire(now, &mut self.counters);
        self.sweep.next = now
            + if self.calls.len() > 0 {
                SWEEP
            } else {
                SWEEP * PARTS as u32
            };
        self.sweep.part = (self.sweep.part + 1) % PARTS;
        // A tenth of the calls each time, so that no batch is held up by a walk over all.
        let mut place = self.sweep.part;
        while place < self.calls.places() {
            self.inspect(now, place, events);
            place += PARTS;
        }
    }

    /// Ends a call's media: ports go to rest, figures for the CDR. To be called for every call
    /// that had an offer; harmless on an empty handle.
    pub fn release(&mut self, now: Time, call: &mut CallMedia) -> MediaReport {
        self.now = now;
        let mut report = MediaReport::default();
        let Some(record) = self.calls.get_mut(call) else {
            return report;
        };
        for (line, stream) in record.streams.iter_mut().enumerate() {
            if stream.is_two_way() && stream.one_way.is_none() {
                stream.one_way = one_way(&self.flows, stream, now);
                self.counters.one_way += u64::from(stream.one_way.is_some());
            }
            count_losses(&mut self.flows, stream, &mut self.counters.lost);
            let place = report.streams.get_mut(usize::from(report.count));
            if stream.was_live
                && let Some(place) = place
            {
                *place = stream_report(&self.flows, stream, line);
                report.count += 1;
            }
        }
        let mut streams = std::mem::take(&mut record.streams);
        for slot in streams.drain(..).flat_map(|stream| stream.slots).flatten() {
            self.music.stop(slot);
            clear(&mut self.flows, slot);
            self.ports.rest(now, slot, &mut self.counters);
        }
        if let Some(record) = self.calls.get_mut(call) {
            record.streams = streams; // empty; its memory serves the next call
        }
        self.calls.remove(call);
        self.counters.calls = self.calls.len() as u64;
        report
    }

    /// The figures of a live call so far; `None` when it has no media.
    #[must_use]
    pub fn report(&self, call: &CallMedia) -> Option<MediaReport> {
        let record = self.calls.get(call)?;
        let mut report = MediaReport::default();
        let live = record.streams.iter().enumerate().filter(|(_, stream)| stream.was_live);
        for (place, (line, stream)) in report.streams.iter_mut().zip(live) {
            *place = stream_report(&self.flows, stream, line);
            report.count += 1;
        }
        Some(report)
    }

    fn inspect(&mut self, now: Time, place: usize, events: &mut Vec<MediaEvent>) {
        let Some(call) = self.calls.at(place) else { return };
        let mut latest = call.since;
        let settled = call.pending.is_none() && now.since(call.since) > SETTLE;
        for stream in &mut call.streams {
            count_losses(&mut self.flows, stream, &mut self.counters.lost);
            for slot in stream.slots.into_iter().flatten() {
                for slot in [slot, Slot(slot.0 | 1)] {
                    latest = latest.max(self.flows.get(slot).map_or(Time::ZERO, |flow| flow.stats.last));
                }
            }
            if call.service.is_none() && stream.is_two_way() && stream.one_way.is_none() {
                stream.one_way = one_way(&self.flows, stream, now);
                self.counters.one_way += u64::from(stream.one_way.is_some());
            }
            // A refused line keeps its ports for a while, because another early answer may still
            // take it; then they serve other calls.
            if settled && !stream.live && !stream.was_live {
                for slot in stream.slots.iter_mut().filter_map(Option::take) {
                    self.ports.rest(now, slot, &mut self.counters);
                }
            }
        }
        let limit = self.timeout;
        if call.watched && !call.silent && !limit.is_zero() && now.since(latest) >= limit {
            call.silent = true;
            events.push(MediaEvent::Silent { user: call.user });
        }
    }
}

/// Where the walk over all calls is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sweep {
    next: Time,
    part: usize,
}

/// The side that was not heard while the other one was for five seconds.
fn one_way(flows: &Flows, stream: &Stream, now: Time) -> Option<Side> {
    let heard = |side: Side| flows.get(stream.slots[side.index()]?).map(|flow| flow.stats);
    let (a, b) = (heard(Side::A)?, heard(Side::B)?);
    let talks = |stats: &super::stats::Stats| stats.packets > 0 && stats.last.min(now).since(stats.first) >= ONE_WAY;
    match (a.packets, b.packets) {
        (0, _) if talks(&b) => Some(Side::A),
        (_, 0) if talks(&a) => Some(Side::B),
        _ => None,
    }
}

/// Adds losses that the shard's counter does not have yet.
fn count_losses(flows: &mut Flows, stream: &Stream, counter: &mut u64) {
    for slot in stream.slots.into_iter().flatten() {
        let Some(flow) = flows.get_mut(slot) else { continue };
        let lost = flow.stats.lost();
        *counter += u64::from(lost.saturating_sub(flow.stats.lost_counted));
        // Late packets may lower the figure; a counter never goes back.
        flow.stats.lost_counted = flow.stats.lost_counted.max(lost);
    }
}

fn stream_report(flows: &Flows, stream: &Stream, line: usize) -> StreamReport {
    let side = |side: Side| {
        let Some(flow) = stream.slots[side.index()].and_then(|slot| flows.get(slot)) else {
            return SideReport::default();
        };
        SideReport {
            packets: flow.stats.packets,
            octets: flow.stats.octets,
            lost: u64::from(flow.stats.lost()),
            jitter_us: flow.stats.jitter_us(),
            learnt: flow.is_learnt(),
        }
    };
    StreamReport {
        line: line as u8,
        sides: [side(Side::A), side(Side::B)],
        one_way: stream.one_way,
    }
}

/// The walk over all calls takes a second: ten parts.
const SWEEP: Duration = Duration::from_millis(100);
const PARTS: usize = 10;
/// 64 times T1: no answer to the same offer comes later (RFC 3261 section 17).
const SETTLE: Duration = Duration::from_secs(32);
const ONE_WAY: Duration = Duration::from_secs(5);
