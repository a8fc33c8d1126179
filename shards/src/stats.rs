//! Counters of one packet thread and its companion, readable from any thread at any time.

use hdrhistogram::Histogram;
use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A counter that one thread writes and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; for the one writing thread (no locked instruction).
    pub fn add(&self, n: u64) {
        self.0
            .store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Adds; for counters that several threads write.
    pub fn add_shared(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets a level.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// What one shard's loop counts. All values only grow, except those called levels.
        #[derive(Debug, Default)]
        pub struct LoopStats {
            $($(#[$meta])* pub $name: Counter,)*
            /// Kernel arrival to submission of the send, on the sampled sockets.
            pub forward: Latency,
        }

        impl LoopStats {
            /// Media packets past the kernel's IP stack: that came, that left, that were dropped.
            #[must_use]
            pub fn xdp(&self) -> [u64; 3] {
                [&self.xdp_in, &self.xdp_out, &self.xdp_dropped].map(Counter::get)
            }

            /// Every counter with its name.
            pub fn each(&self, mut visit: impl FnMut(&'static str, u64)) {
                $(visit(stringify!($name), self.$name.get());)*
            }
        }
    };
}

counters! {
    /// Signalling datagrams received.
    datagrams_in,
    /// Signalling datagrams sent.
    datagrams_out,
    /// Octets of signalling datagrams received.
    octets_in,
    /// Octets of signalling datagrams sent.
    octets_out,
    /// Media packets received.
    media_in,
    /// Media packets sent (relayed or made here).
    media_out,
    /// Octets of media packets received.
    media_octets_in,
    /// Octets of media packets sent.
    media_octets_out,
    /// Media packets that came past the kernel's IP stack; counted in `media_in` too.
    xdp_in,
    /// Media packets that left past it; counted in `media_out` too.
    xdp_out,
    /// Media packets dropped because the shard took them too late, as the kernel counts them.
    xdp_dropped,
    /// Times the loop came back from its blocking point.
    wakeups,
    /// CPU time of the packet thread in nanoseconds, brought up to date ten times a second.
    busy_nanos,
    /// Time in which the packet thread used no CPU, in nanoseconds, brought up to date as above.
    idle_nanos,
    /// Receives that ended because no buffer was free; the datagrams stay in the socket.
    enobufs,
    /// Datagrams longer than a receive buffer; they are not given to the program.
    truncated,
    /// Receives that ended with another error.
    receive_errors,
    /// Sends that the kernel refused.
    send_errors,
    /// Mesh messages given back to this shard as sender because the receiver's queue was full.
    mesh_full,
    /// Mesh messages from ops threads given back because this shard's queue was full.
    ops_full,
    /// Level: messages that waited at the last batch.
    mesh_depth,
    /// Stream commands given back because a companion's queue was full.
    stream_full,
    /// Times the program was started again after a panic.
    restarts,
    /// Level: media sockets that are open.
    media_open,
    /// Groups written to the log.
    log_groups,
    /// Octets written to the log.
    log_octets,
    /// Groups that could not be written.
    log_failures,
    /// Synchronisations of the log that the disk completed.
    log_syncs,
    /// Level: stream connections open.
    connections,
    /// Connections accepted.
    connections_accepted,
    /// Connections opened by command.
    connections_opened,
    /// Connections refused or not opened because of the limit.
    connections_refused,
    /// Connections that could not be opened.
    connections_failed,
    /// Connections closed because a message did not become complete in time.
    connections_slow,
    /// Connections closed because nothing came or went for a long time.
    connections_idle,
    /// Connections closed because their write queue was full.
    connections_choked,
    /// Connections closed because their octets could not be understood.
    connections_bad,
    /// Whole messages received on streams.
    stream_messages_in,
    /// Messages written to streams.
    stream_messages_out,
}

/// Steps in each power of two: values are kept to 1/32.
const STEPS: u64 = 32;
/// Powers of two above [`STEPS`], in units of 64 ns: up to 2 minutes.
const OCTAVES: usize = 26;
const UNIT_SHIFT: u32 = 6;

/// A latency histogram that one thread fills without waiting and any thread reads.
#[derive(Debug)]
pub struct Latency {
    buckets: [AtomicU64; STEPS as usize * OCTAVES],
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Latency {
    fn index(nanos: u64) -> usize {
        let units = nanos >> UNIT_SHIFT;
        if units < STEPS {
            return units as usize;
        }
        let octave = units.ilog2() - STEPS.ilog2();
        let index = STEPS * u64::from(octave) + (units >> octave);
        (index as usize).min(STEPS as usize * OCTAVES - 1)
    }

    /// The middle of a bucket, in nanoseconds.
    fn middle(index: usize) -> u64 {
        let index = index as u64;
        if index < STEPS {
            return (index << UNIT_SHIFT) + (1 << (UNIT_SHIFT - 1));
        }
        let octave = index / STEPS - 1;
        let units = STEPS + index % STEPS;
        ((units << octave) + ((1 << octave) >> 1)) << UNIT_SHIFT
    }

    /// Counts one latency; for the one writing thread.
    pub fn record(&self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(Self::index(nanos)) {
            bucket.store(bucket.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// What was counted so far, in nanoseconds, exact to about 3 %.
    #[must_use]
    pub fn snapshot(&self) -> Histogram<u64> {
        let mut histogram = match Histogram::new(2) {
            Ok(histogram) => histogram,
            Err(error) => unreachable!("two digits are allowed: {error}"),
        };
        for (index, bucket) in self.buckets.iter().enumerate() {
            let count = bucket.load(Ordering::Relaxed);
            if count > 0 {
                let _ = histogram.record_n(Self::middle(index), count);
            }
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_contiguous_and_close() {
        let mut last = 0;
        for nanos in (0..200_000u64).chain((0..1000).map(|i| 200_000 + i * i * 100)) {
            let index = Latency::index(nanos);
            assert!(index == last || index == last + 1 || nanos >= 200_000, "{nanos}");
            assert!(index >= last);
            last = index;
            let off = Latency::middle(index).abs_diff(nanos);
            assert!(off <= 64 || off * 30 <= nanos, "{nanos} {}", Latency::middle(index));
        }
        assert_eq!(Latency::index(u64::MAX), STEPS as usize * OCTAVES - 1);
    }

    #[test]
    fn snapshot_has_the_quantiles() {
        let latency = Latency::default();
        for micros in 1..=1000 {
            latency.record(Duration::from_micros(micros));
        }
        let snapshot = latency.snapshot();
        assert_eq!(snapshot.len(), 1000);
        let median = snapshot.value_at_quantile(0.5);
        assert!((480_000..520_000).contains(&median), "{median}");
    }
}
