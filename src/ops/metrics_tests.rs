use super::*;
use crate::ops::model::ShardFigures;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn about() -> About {
    About {
        name: "ringfort",
        version: "1.2.3".into(),
        revision: "a\"b\\c\nd".into(),
        started: 1_700_000_000_000,
        listeners: vec![],
        domains: vec![],
        demonstration: false,
        fault_injection: false,
        echo: None,
        music: None,
        limit_calls: 20_000,
        limit_registrations: 200_000,
        limit_transactions: 100_000,
        limit_connections: 20_000,
    }
}

fn shard(number: u16) -> ShardView {
    let mut figures = ShardFigures::default();
    let stats = &mut figures.stats;
    stats.request(MethodLabel::Invite, Direction::In);
    stats.response(MethodLabel::Invite, 200, Direction::Out);
    stats.parse_error("bad_via");
    stats.shed("ports");
    stats.call_ended(CallResult::Completed);
    stats.pdd(Duration::from_millis(30));
    stats.setup(Duration::from_secs(4));
    stats.setup(Duration::from_secs(3600));
    stats.processing(MethodLabel::Invite, Duration::from_micros(40));
    figures.calls = [1, 2, 3, 4];
    figures.media.rtp_in = 10;
    figures.media.lost = 5;
    figures.media.forward.record(Duration::from_micros(250));
    figures.ring.busy_nanos = 1_500_000_000;
    ShardView {
        shard: number,
        restarts: 7,
        silent: number == 1,
        figures,
    }
}

fn scrape(shards: Vec<ShardView>) -> Scrape {
    let view = Arc::new(View { at: 0, shards });
    Scrape {
        capacity: crate::ops::capacity::Estimator::default().capacity(&view, &about()),
        view,
        about: about(),
        draining: false,
        records_waiting: 0,
        process: Process::read(),
    }
}

/// What a scraper understands: family -> kind, and series -> value.
struct Parsed {
    kinds: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

fn parse(text: &str) -> Parsed {
    let (mut kinds, mut helps, mut series) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            assert!(
                !help.is_empty() && helps.insert(name.to_owned()),
                "HELP twice or empty: {line}"
            );
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            assert!(helps.contains(name), "TYPE without HELP: {line}");
            assert!(
                kinds.insert(name.to_owned(), kind.to_owned()).is_none(),
                "TYPE twice: {line}"
            );
        } else {
            assert!(!line.starts_with('#'), "{line}");
            let (name, value) = line.rsplit_once(' ').unwrap();
            let base = name.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| base.strip_suffix(suffix).filter(|f| kinds.contains_key(*f)))
                .unwrap_or(base);
            assert!(kinds.contains_key(family), "series without TYPE: {line}");
            assert!(
                series.insert(name.to_owned(), value.parse().unwrap()).is_none(),
                "series twice: {line}"
            );
        }
    }
    assert_eq!(helps.len(), kinds.len());
    Parsed { kinds, series }
}

/// The names and labels that INTERFACE promises.
const PROMISED: &[(&str, &str)] = &[
    ("ringfort_build_info", "gauge"),
    ("ringfort_sip_requests_total", "counter"),
    ("ringfort_sip_responses_total", "counter"),
    ("ringfort_sip_parse_errors_total", "counter"),
    ("ringfort_transactions", "gauge"),
    ("ringfort_calls", "gauge"),
    ("ringfort_calls_total", "counter"),
    ("ringfort_registrations", "gauge"),
    ("ringfort_call_pdd_seconds", "histogram"),
    ("ringfort_call_setup_seconds", "histogram"),
    ("ringfort_sip_processing_seconds", "histogram"),
    ("ringfort_rtp_packets_total", "counter"),
    ("ringfort_rtp_forward_seconds", "histogram"),
    ("ringfort_rtp_lost_packets_total", "counter"),
    ("ringfort_media_ports_free", "gauge"),
    ("ringfort_media_ports_used", "gauge"),
    ("ringfort_one_way_calls_total", "counter"),
    ("ringfort_shed_total", "counter"),
    ("ringfort_mesh_depth", "gauge"),
    ("ringfort_shard_busy_ratio", "gauge"),
    ("ringfort_capacity_more", "gauge"),
    ("ringfort_capacity_used_ratio", "gauge"),
    ("ringfort_shard_restarts_total", "counter"),
];

#[test]
fn promised_names_and_labels_are_there() {
    let parsed = parse(&scrape(vec![shard(0), shard(1)]).text());
    for (name, kind) in PROMISED {
        assert_eq!(parsed.kinds.get(*name).map(String::as_str), Some(*kind), "{name}");
    }
    let value = |series: &str| *parsed.series.get(series).unwrap_or_else(|| panic!("no {series}"));
    assert_eq!(
        value(r#"ringfort_sip_requests_total{method="INVITE",direction="in",shard="1"}"#),
        1.0
    );
    assert_eq!(
        value(r#"ringfort_sip_responses_total{method="INVITE",class="2xx",direction="out",shard="0"}"#),
        1.0
    );
    assert_eq!(
        value(r#"ringfort_sip_parse_errors_total{reason="bad_via",shard="0"}"#),
        1.0
    );
    assert_eq!(value(r#"ringfort_shed_total{reason="ports",shard="0"}"#), 1.0);
    assert_eq!(value(r#"ringfort_calls{state="held",shard="0"}"#), 4.0);
    assert_eq!(value(r#"ringfort_calls_total{result="completed",shard="1"}"#), 1.0);
    assert_eq!(value("ringfort_rtp_lost_packets_total"), 10.0);
    assert_eq!(value(r#"ringfort_shard_restarts_total{shard="0"}"#), 7.0);
    assert_eq!(value(r#"ringfort_shard_up{shard="1"}"#), 0.0);
    assert_eq!(value(r#"ringfort_shard_busy_seconds_total{shard="1"}"#), 1.5);
    assert_eq!(
        value(r#"ringfort_build_info{version="1.2.3",revision="a\"b\\c\nd"}"#),
        1.0
    );
    assert!(value("process_resident_memory_bytes") > 0.0);
}

#[test]
fn histograms_are_cumulative_and_merged_over_shards() {
    let parsed = parse(&scrape(vec![shard(0), shard(1)]).text());
    let value = |series: &str| *parsed.series.get(series).unwrap_or_else(|| panic!("no {series}"));
    assert_eq!(value(r#"ringfort_call_setup_seconds_bucket{le="2.5"}"#), 0.0);
    assert_eq!(value(r#"ringfort_call_setup_seconds_bucket{le="5.0"}"#), 2.0);
    assert_eq!(value(r#"ringfort_call_setup_seconds_bucket{le="+Inf"}"#), 4.0);
    assert_eq!(value("ringfort_call_setup_seconds_count"), 4.0);
    assert_eq!(value("ringfort_call_setup_seconds_sum"), 2.0 * 4.0 + 2.0 * 60.0);
    assert_eq!(
        value(r#"ringfort_sip_processing_seconds_bucket{le="0.00005",method="INVITE"}"#),
        2.0
    );
    assert_eq!(value(r#"ringfort_rtp_forward_seconds_bucket{le="0.0002"}"#), 0.0);
    assert_eq!(value(r#"ringfort_rtp_forward_seconds_bucket{le="0.0003"}"#), 2.0);
}

#[test]
fn an_idle_appliance_shows_every_promised_family() {
    let idle = ShardView {
        shard: 0,
        restarts: 0,
        silent: false,
        figures: ShardFigures::default(),
    };
    let parsed = parse(&scrape(vec![idle]).text());
    for (name, _) in PROMISED {
        assert!(parsed.kinds.contains_key(*name), "{name}");
    }
}
