//! The text of `/metrics`, made anew at each scrape from the shards' figures.

use super::capacity::Capacity;
use super::latency::Latency;
use super::model::{About, CallState};
use super::process::Process;
use super::stats::{CallResult, Class, Direction, MethodLabel};
use super::view::{ShardView, View};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// Upper bounds in seconds of call delays.
const CALL_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0,
];
/// Upper bounds in seconds of the time that a request takes.
const PROCESSING_BUCKETS: &[f64] = &[
    5e-6, 1e-5, 2e-5, 3e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 1.0,
];
/// Upper bounds in seconds of the time that a packet takes.
const FORWARD_BUCKETS: &[f64] = &[
    2e-5, 5e-5, 1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 8e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1,
];

/// The media type of the text.
///
/// Only the classic format is served: in OpenMetrics the promised gauge `ringfort_calls` and the
/// promised counter `ringfort_calls_total` would be one family declared twice.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that a scrape shows.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The shards.
    pub view: Arc<View>,
    /// The appliance.
    pub about: About,
    /// Whether new calls are refused.
    pub draining: bool,
    /// Call records that wait in memory because the disk refuses them.
    pub records_waiting: u64,
    /// The process.
    pub process: Process,
    /// How much more can be taken.
    pub capacity: Capacity,
}

impl Scrape {
    /// Prometheus text, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut out = String::with_capacity(32 * 1024);
        // Writing to a String cannot fail.
        let _ = text::encode(&mut out, &registry);
        classic(&out)
    }
}

/// The library writes OpenMetrics, which names a counter's family without `_total` and ends with `# EOF`; the older format
/// does neither.
fn classic(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len() + 1024);
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let help = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '));
        if line == "# EOF" {
            continue;
        }
        match (help, lines.peek().and_then(|next| next.strip_prefix("# TYPE "))) {
            (Some((name, help)), Some(kind)) if kind.ends_with(" counter") => {
                lines.next();
                out.extend(["# HELP ", name, "_total ", help, "\n# TYPE ", name, "_total counter\n"]);
            }
            _ => out.extend([line, "\n"]),
        }
    }
    out
}

/// Writes families one after the other.
struct Families<'a>(DescriptorEncoder<'a>);

type Labels<'l> = &'l [(&'l str, &'l str)];

impl Families<'_> {
    fn family(&mut self, name: &str, help: &str, kind: MetricType, fill: Fill<'_>) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        fill(&mut Series(&mut encoder))
    }

    /// `name` without `_total`, which the encoder adds.
    fn counter(&mut self, name: &str, help: &str, fill: Fill<'_>) -> fmt::Result {
        self.family(name, help, MetricType::Counter, fill)
    }

    fn gauge(&mut self, name: &str, help: &str, fill: Fill<'_>) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, fill)
    }

    fn histogram(&mut self, name: &str, help: &str, fill: Fill<'_>) -> fmt::Result {
        self.family(name, help, MetricType::Histogram, fill)
    }
}

type Fill<'f> = &'f dyn Fn(&mut Series<'_, '_>) -> fmt::Result;

/// Writes the series of one family.
struct Series<'a, 'e>(&'a mut MetricEncoder<'e>);

impl Series<'_, '_> {
    fn counter(&mut self, labels: Labels<'_>, value: impl EncodeCounterValue) -> fmt::Result {
        if labels.is_empty() {
            return self.0.encode_counter::<NoLabelSet, _, f64>(&value, None);
        }
        self.0
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    fn gauge(&mut self, labels: Labels<'_>, value: impl EncodeGaugeValue) -> fmt::Result {
        if labels.is_empty() {
            return self.0.encode_gauge(&value);
        }
        self.0.encode_family(&labels)?.encode_gauge(&value)
    }

    fn histogram(&mut self, labels: Labels<'_>, latency: &Latency, bounds: &[f64]) -> fmt::Result {
        let mut below = 0;
        let mut buckets: Vec<(f64, u64)> = Vec::with_capacity(bounds.len() + 1);
        for &bound in bounds {
            let upto = latency.count_upto(bound).max(below);
            buckets.push((bound, upto - below));
            below = upto;
        }
        buckets.push((f64::INFINITY, latency.count() - below));
        let (sum, count) = (latency.sum_seconds(), latency.count());
        if labels.is_empty() {
            return self.0.encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
        }
        self.0
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.appliance(&mut families)?;
        self.signalling(&mut families)?;
        self.calls(&mut families)?;
        self.media(&mut families)?;
        self.shards(&mut families)?;
        self.capacity(&mut families)?;
        self.process(&mut families)
    }
}

impl Scrape {
    fn each(&self, fill: &mut dyn FnMut(&str, &ShardView) -> fmt::Result) -> fmt::Result {
        self.view
            .shards
            .iter()
            .try_for_each(|shard| fill(&shard.shard.to_string(), shard))
    }

    fn shard_counter(
        &self,
        to: &mut Families<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&ShardView) -> u64,
    ) -> fmt::Result {
        to.counter(name, help, &|s| {
            self.each(&mut |shard, view| s.counter(&[("shard", shard)], value(view)))
        })
    }

    fn shard_gauge(&self, to: &mut Families<'_>, name: &str, help: &str, value: fn(&ShardView) -> f64) -> fmt::Result {
        to.gauge(name, help, &|s| {
            self.each(&mut |shard, view| s.gauge(&[("shard", shard)], value(view)))
        })
    }

    fn merged(&self, of: fn(&ShardView) -> &Latency) -> Latency {
        let mut sum = Latency::default();
        self.view.shards.iter().for_each(|shard| sum.merge(of(shard)));
        sum
    }

    fn appliance(&self, to: &mut Families<'_>) -> fmt::Result {
        let about = &self.about;
        to.gauge("ringfort_build_info", "Always 1; the labels say what runs.", &|s| {
            s.gauge(&[("version", &about.version), ("revision", &about.revision)], 1i64)
        })?;
        to.gauge("ringfort_start_time_seconds", "When it was ready, Unix time.", &|s| {
            s.gauge(&[], about.started as f64 / 1e3)
        })?;
        to.gauge(
            "ringfort_draining",
            "1 while new calls are refused because it is about to stop.",
            &|s| s.gauge(&[], i64::from(self.draining)),
        )?;
        to.gauge(
            "ringfort_call_records_waiting",
            "Call records in memory that the disk refuses, full perhaps; 0 when all is well.",
            &|s| s.gauge(&[], self.records_waiting as f64),
        )?;
        to.gauge("ringfort_limit", "Configured limits, all shards together.", &|s| {
            s.gauge(&[("resource", "calls")], about.limit_calls as f64)?;
            s.gauge(&[("resource", "registrations")], about.limit_registrations as f64)?;
            s.gauge(&[("resource", "transactions")], about.limit_transactions as f64)
        })
    }

    fn signalling(&self, to: &mut Families<'_>) -> fmt::Result {
        to.counter(
            "ringfort_sip_requests",
            "SIP requests, retransmissions included.",
            &|s| {
                self.each(&mut |shard, view| {
                    for method in MethodLabel::ALL {
                        for direction in Direction::ALL {
                            let value = view.figures.stats.requests[method as usize][direction as usize];
                            let labels = [
                                ("method", method.label()),
                                ("direction", direction.label()),
                                ("shard", shard),
                            ];
                            s.counter(&labels, value)?;
                        }
                    }
                    Ok(())
                })
            },
        )?;
        to.counter(
            "ringfort_sip_responses",
            "SIP responses by the method they answer and their class.",
            &|s| self.each(&mut |shard, view| self.responses(s, shard, view)),
        )?;
        to.counter(
            "ringfort_sip_parse_errors",
            "Messages that could not be understood.",
            &|s| {
                self.each(&mut |shard, view| {
                    view.figures
                        .stats
                        .parse_errors
                        .iter()
                        .try_for_each(|(reason, n)| s.counter(&[("reason", reason), ("shard", shard)], n))
                })
            },
        )?;
        to.counter(
            "ringfort_shed",
            "Work refused or dropped because a limit was reached.",
            &|s| {
                self.each(&mut |shard, view| {
                    view.figures
                        .stats
                        .shed
                        .iter()
                        .try_for_each(|(reason, n)| s.counter(&[("reason", reason), ("shard", shard)], n))
                })
            },
        )?;
        self.shard_gauge(
            to,
            "ringfort_transactions",
            "SIP transactions now, server and client.",
            |v| v.figures.transactions as f64,
        )?;
        self.shard_gauge(to, "ringfort_registrations", "Contacts bound now.", |v| {
            v.figures.registrations as f64
        })?;
        to.histogram(
            "ringfort_sip_processing_seconds",
            "Time from receiving a request to having its first output ready.",
            &|s| {
                for method in MethodLabel::ALL {
                    let mut sum = Latency::default();
                    self.view
                        .shards
                        .iter()
                        .for_each(|v| sum.merge(&v.figures.stats.processing[method as usize]));
                    if sum.count() > 0 {
                        s.histogram(&[("method", method.label())], &sum, PROCESSING_BUCKETS)?;
                    }
                }
                Ok(())
            },
        )
    }

    /// Only those that have happened: 180 combinations a shard are mostly nonsense.
    fn responses(&self, s: &mut Series<'_, '_>, shard: &str, view: &ShardView) -> fmt::Result {
        for method in MethodLabel::ALL {
            for class in Class::ALL {
                for direction in Direction::ALL {
                    let n = view.figures.stats.responses[method as usize][class as usize][direction as usize];
                    if n > 0 {
                        let labels = [
                            ("method", method.label()),
                            ("class", class.label()),
                            ("direction", direction.label()),
                            ("shard", shard),
                        ];
                        s.counter(&labels, n)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn calls(&self, to: &mut Families<'_>) -> fmt::Result {
        to.gauge("ringfort_calls", "Calls now.", &|s| {
            self.each(&mut |shard, view| {
                CallState::ALL.iter().try_for_each(|&state| {
                    s.gauge(
                        &[("state", state.label()), ("shard", shard)],
                        view.figures.calls[state as usize] as f64,
                    )
                })
            })
        })?;
        to.counter("ringfort_calls", "Calls that ended, by result.", &|s| {
            self.each(&mut |shard, view| {
                CallResult::ALL.iter().try_for_each(|&result| {
                    let n = view.figures.stats.calls_ended[result as usize];
                    s.counter(&[("result", result.label()), ("shard", shard)], n)
                })
            })
        })?;
        self.shard_counter(to, "ringfort_calls_started", "Calls that were let in.", |v| {
            v.figures.stats.calls_started
        })?;
        to.histogram(
            "ringfort_call_pdd_seconds",
            "Post-dial delay: INVITE to the first ringing or final response (RFC 6076).",
            &|s| s.histogram(&[], &self.merged(|v| &v.figures.stats.pdd), CALL_BUCKETS),
        )?;
        to.histogram(
            "ringfort_call_setup_seconds",
            "INVITE received to its 200 passed on.",
            &|s| s.histogram(&[], &self.merged(|v| &v.figures.stats.setup), CALL_BUCKETS),
        )
    }

    fn media(&self, to: &mut Families<'_>) -> fmt::Result {
        to.counter("ringfort_rtp_packets", "RTP packets received and sent.", &|s| {
            self.each(&mut |shard, view| {
                s.counter(&[("direction", "in"), ("shard", shard)], view.figures.media.rtp_in)?;
                s.counter(&[("direction", "out"), ("shard", shard)], view.figures.media.rtp_out)
            })
        })?;
        to.counter(
            "ringfort_rtp_lost_packets",
            "RTP packets lost on the way to us.",
            &|s| s.counter(&[], self.view.sum(|f| f.media.lost)),
        )?;
        self.shard_counter(
            to,
            "ringfort_rtp_dropped_packets",
            "RTP packets that we dropped: wrong source and such.",
            |v| v.figures.media.dropped,
        )?;
        to.counter(
            "ringfort_one_way_calls",
            "Calls that ended with audio in one direction only.",
            &|s| s.counter(&[], self.view.sum(|f| f.media.one_way)),
        )?;
        to.histogram(
            "ringfort_rtp_forward_seconds",
            "Time from receiving an RTP packet to sending it on.",
            &|s| s.histogram(&[], &self.merged(|v| &v.figures.media.forward), FORWARD_BUCKETS),
        )?;
        self.shard_gauge(to, "ringfort_media_ports_used", "Media ports in use.", |v| {
            v.figures.media.ports_used as f64
        })?;
        self.shard_gauge(to, "ringfort_media_ports_free", "Media ports that may be used.", |v| {
            v.figures.media.ports_free as f64
        })?;
        self.shard_gauge(
            to,
            "ringfort_media_ports_quarantined",
            "Media ports that rest after use.",
            |v| v.figures.media.ports_quarantined as f64,
        )
    }

    fn shards(&self, to: &mut Families<'_>) -> fmt::Result {
        self.shard_gauge(to, "ringfort_shard_up", "1 when the shard answered this scrape.", |v| {
            if v.silent { 0.0 } else { 1.0 }
        })?;
        self.shard_gauge(
            to,
            "ringfort_shard_busy_ratio",
            "Share of time that the shard works, 0 to 1.",
            |v| v.figures.ring.busy_ratio,
        )?;
        to.counter("ringfort_shard_busy_seconds", "Time that the shard has worked.", &|s| {
            self.each(&mut |shard, v| s.counter(&[("shard", shard)], v.figures.ring.busy_nanos as f64 / 1e9))
        })?;
        self.shard_counter(to, "ringfort_shard_restarts", "Restarts after a panic.", |v| v.restarts)?;
        self.shard_gauge(to, "ringfort_mesh_depth", "Messages that wait for the shard.", |v| {
            v.figures.ring.mesh_depth as f64
        })?;
        self.shard_counter(
            to,
            "ringfort_mesh_full",
            "Messages refused because another shard's queue was full.",
            |v| v.figures.ring.mesh_full,
        )?;
        self.shard_counter(to, "ringfort_wakeups", "Times that the packet loop woke.", |v| {
            v.figures.ring.wakeups
        })?;
        to.counter("ringfort_datagrams", "Datagrams, signalling and media.", &|s| {
            self.each(&mut |shard, view| {
                s.counter(&[("direction", "in"), ("shard", shard)], view.figures.ring.datagrams_in)?;
                s.counter(
                    &[("direction", "out"), ("shard", shard)],
                    view.figures.ring.datagrams_out,
                )
            })
        })?;
        self.shard_counter(
            to,
            "ringfort_receive_buffer_exhausted",
            "Times that the kernel found no receive buffer of the shard free.",
            |v| v.figures.ring.receive_buffer_exhausted,
        )?;
        let xdp = [
            (
                "ringfort_xdp_packets_in",
                "Media packets that came past the kernel's IP stack (AF_XDP).",
            ),
            (
                "ringfort_xdp_packets_out",
                "Media packets that left past the kernel's IP stack (AF_XDP).",
            ),
            (
                "ringfort_xdp_dropped",
                "Media packets that AF_XDP dropped for want of room.",
            ),
        ];
        for (index, (name, help)) in xdp.into_iter().enumerate() {
            self.shard_counter(to, name, help, |v| v.figures.ring.xdp[index])?;
        }
        self.shard_counter(to, "ringfort_send_errors", "Sends that the kernel refused.", |v| {
            v.figures.ring.send_errors
        })?;
        self.shard_counter(
            to,
            "ringfort_log_lines_dropped",
            "Log lines dropped because the log could not keep up.",
            |v| v.figures.log_lines_dropped,
        )
    }

    fn capacity(&self, to: &mut Families<'_>) -> fmt::Result {
        let capacity = &self.capacity;
        to.gauge(
            "ringfort_capacity_more",
            "Calls and bindings that can be taken beside those of now, an estimate.",
            &|s| {
                s.gauge(&[("work", "calls")], capacity.calls.more as f64)?;
                s.gauge(&[("work", "registrations")], capacity.registrations.more as f64)
            },
        )?;
        to.gauge(
            "ringfort_capacity_used_ratio",
            "What is used of each resource, 1 is its limit.",
            &|s| {
                let ratios = capacity.used_ratios();
                ratios
                    .into_iter()
                    .try_for_each(|(resource, ratio)| s.gauge(&[("resource", resource)], ratio))
            },
        )
    }

    fn process(&self, to: &mut Families<'_>) -> fmt::Result {
        let process = &self.process;
        to.gauge("process_resident_memory_bytes", "Resident memory.", &|s| {
            s.gauge(&[], process.resident_bytes as f64)
        })?;
        to.counter("process_cpu_seconds", "User and system time of all threads.", &|s| {
            s.counter(&[], process.cpu_seconds)
        })?;
        to.gauge(
            "process_open_fds",
            "Open file descriptors, those in ring tables not included.",
            &|s| s.gauge(&[], process.open_fds as f64),
        )?;
        to.gauge("process_max_fds", "Limit of open file descriptors.", &|s| {
            s.gauge(&[], process.max_fds as f64)
        })?;
        to.gauge("process_threads", "Threads.", &|s| s.gauge(&[], process.threads as f64))
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
