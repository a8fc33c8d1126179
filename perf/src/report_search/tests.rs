//! Tests of the report of a search.

use super::markdown::{exact, grouped, short};
use super::plot::{log_ticks, ticks, xml};
use super::{Capacity, Plot, Report, Search, Trial, markdown, plots};

/// Times that are spread around a median.
fn four(p50: f64) -> [u64; 4] {
    [1.0, 2.5, 6.0, 18.0].map(|factor| (p50 * factor) as u64)
}

/// A trial of a server that carries `limit`: latency grows towards it, and calls fail beyond it.
fn trial(load: f64, limit: f64) -> Trial {
    let (passed, busy) = (load <= limit, load / limit);
    let beyond = f64::from(u8::from(!passed));
    let p50 = if passed { 420.0 / (1.08 - busy) } else { 90_000.0 * busy };
    let missed = ["set-up p99 <= 100 ms | missed", "failed at most 0.1 %"];
    Trial {
        load,
        passed,
        why: missed.iter().filter(|_| !passed).map(|line| (*line).into()).collect(),
        attempts: (load * 10.0) as u64,
        failed: (load * 10.0 * (busy - 0.99) * beyond) as u64,
        setup_us: four(p50),
        ringing_us: four(p50 * 0.7),
        disconnect_us: four(p50 * 0.6),
        delay_us: Some(four(70.0 + 40.0 * busy)),
        loss: Some(0.004 * beyond),
        mos: Some([4.36, 4.1]),
        server_cpu: Some(busy * 0.97),
        load_cpu: busy * 0.61,
        memory_bytes: Some(31 << 20),
        standing: load,
        ..Trial::default()
    }
}

fn search(name: &str, unit: &str, limit: f64) -> Search {
    let shares = [0.1, 0.2, 0.4, 0.8, 1.6, 1.2, 1.2, 1.0, 1.1, 1.1, 1.05];
    Search {
        name: name.into(),
        unit: unit.into(),
        found: Some(limit),
        ended: "a load 5 % higher was not carried".into(),
        trials: shares.map(|share| trial((limit * share).round(), limit)).into(),
    }
}

fn registrations() -> Search {
    let mut search = search("registrations a second", "registrations/s", 8000.0);
    for (trial, index) in search.trials.iter_mut().zip(1..) {
        trial.registrations = Some(20_000 * index);
        trial.memory_bytes = Some((30 << 20) + 9_800_000 * index);
        (trial.ringing_us, trial.disconnect_us, trial.standing) = ([0; 4], [0; 4], 0.0);
        (trial.delay_us, trial.loss, trial.mos) = (None, None, None);
    }
    search
}

fn realistic() -> Report {
    let pairs = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let rate = search("calls a second", "calls/s", 5250.0);
    let standing = search("calls at once", "calls", 12_000.0);
    Report {
        title: "Ringfort as B2BUA".into(),
        target: "127.0.0.1:5060".into(),
        mode: "b2bua with audio".into(),
        began: "2026-11-26 02:31:41 UTC".into(),
        seconds: 412.4,
        machine: pairs("Processor", "AMD EPYC | 8 cores"),
        parameters: pairs("SIP Transport Protocol", "UDP"),
        lines: vec!["failed attempts at most 0.1 %".into()],
        searches: vec![rate, standing, registrations()],
        notes: vec!["Server and generator shared <one> machine.".into()],
        capacity: vec![Capacity {
            found: 5250.0,
            estimate_at_half: 4600.0,
            bound_by: "CPU of shard 0".into(),
            what: "calls a second".into(),
        }],
    }
}

/// Whether each tag is closed in order, and each attribute has its quotes.
fn well_formed(svg: &str) -> bool {
    let mut open = Vec::new();
    let mut parts = svg.split('<');
    let mut good = parts.next() == Some("");
    for part in parts {
        let Some((tag, after)) = part.split_once('>') else {
            return false;
        };
        good &= !after.contains(['>', '"']) && tag.matches('"').count() % 2 == 0;
        if let Some(name) = tag.strip_prefix('/') {
            good &= open.pop() == Some(name);
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap_or(""));
        }
    }
    let entities = ["amp;", "lt;", "gt;", "quot;", "#39;"];
    let escaped = |rest: &str| entities.iter().any(|entity| rest.starts_with(entity));
    good && open.is_empty() && svg.split('&').skip(1).all(escaped)
}

/// Draws and tells a report, and checks what holds for every one.
fn check(report: &Report) -> (String, Vec<Plot>) {
    let plots = plots(report);
    let mut names = Vec::new();
    for Plot { file, caption, svg } in &plots {
        assert!(well_formed(svg), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(names.iter().all(|(other, _)| other != file), "{file}");
        names.push((file.clone(), caption.clone()));
    }
    let text = markdown(report, &names);
    let mut before = 0;
    for line in text.lines() {
        let bars = line.replace("\\|", "").matches('|').count();
        assert!(bars == 0 || before == 0 || bars == before, "{line}");
        before = bars;
    }
    (text, plots)
}

fn one(trials: Vec<Trial>, found: Option<f64>) -> Report {
    let mut search = search("calls a second", "calls/s", 1.0);
    (search.trials, search.found) = (trials, found);
    Report {
        searches: vec![search],
        ..Report::default()
    }
}

#[test]
fn realistic_report() {
    let (text, plots) = check(&realistic());
    let files: Vec<_> = plots.iter().map(|plot| &*plot.file).collect();
    assert!(files.len() == 10 && files[3..].starts_with(&["latency-calls-at-once.svg", "cpu-calls-at-once.svg"]));
    assert!(files.contains(&"memory-registrations-a-second.svg"), "{files:?}");
    let has = [
        "# Ringfort as B2BUA\n\n## Result\n\n### Calls a second: 5,250 calls/s\n\nWithin the pass lines the",
        "Session Establishment Rate of **5,250 calls/s** (0 of 52,500 Session Attempts failed; trials",
        "| calls a second | 5,250 | 4,600 | -12.4 % | yes | CPU of shard 0 |",
        "| Processor | AMD EPYC \\| 8 cores |",
        "- Server and generator shared \\<one\\> machine.\n",
        "![Latency against load, search for calls a second](latency-calls-a-second.svg)\n",
    ];
    for part in has {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let hollow = r##"fill="#fff" stroke="#0072B2""##;
    for part in [", logarithmic", "found: 5,250 calls/s", hollow] {
        assert!(plots[0].svg.contains(part), "{part}\n{}", plots[0].svg);
    }
    // To look at them: REPORT_SEARCH_OUT=folder.
    if let Some(folder) = std::env::var_os("REPORT_SEARCH_OUT").map(std::path::PathBuf::from) {
        std::fs::write(folder.join("report.md"), text).unwrap();
        let save = |plot: &Plot| std::fs::write(folder.join(&plot.file), &plot.svg).unwrap();
        plots.iter().for_each(save);
    }
}

#[test]
fn columns_without_values_are_left_out() {
    let mut report = Report::default();
    report.searches.push(registrations());
    let (text, _) = check(&report);
    for part in ["Registration p50 / p90", "Registrations held", "| 8,000 | passed |"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    for part in ["Ringing", "MOS", "RTP", "at once", "Set-up"] {
        assert!(!text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn trials_are_in_order_of_load() {
    let trials = [400.0, f64::NAN, 100.0].map(|load| trial(load, 500.0));
    let (text, _) = check(&one(trials.into(), Some(400.0)));
    let order = ["\n| 100 |", "\n| 400 |", "\n| – |"].map(|row| text.find(row).unwrap());
    assert!(order.is_sorted(), "{text}");
}

#[test]
fn failures_at_the_limit_are_said() {
    let mut failed = trial(400.0, 500.0);
    (failed.failed, failed.passed) = (3, false);
    let (text, _) = check(&one(vec![failed, trial(400.0, 500.0)], Some(400.0)));
    let said = "(3 of 8,000 Session Attempts failed, while RFC 7501 allows none; trials at this load: 2, failed: 1)";
    assert!(text.contains(said), "{text}");
}

#[test]
fn the_axis_is_logarithmic_where_needed() {
    for (times, log) in [
        ([100, 200, 4900, 5000], false),
        ([100, 200, 5100, 9000], true),
        ([0, 0, 5, 900], false),
    ] {
        let mut trial = trial(400.0, 500.0);
        (trial.setup_us, trial.delay_us) = (times, None);
        let (_, plots) = check(&one(vec![trial], None));
        assert_eq!(plots[0].svg.contains("logarithmic"), log, "{times:?}");
    }
}

#[test]
fn nothing_to_tell() {
    let (text, plots) = check(&Report::default());
    assert!(plots.is_empty() && text.contains("No search was made."), "{text}");
    for found in [None, Some(f64::NAN), Some(7.0)] {
        let (text, plots) = check(&one(vec![], found));
        assert!(plots.is_empty() && text.contains("No trial was made."), "{text}");
        assert_eq!(text.contains("none found"), found.is_none(), "{text}");
    }
}

#[test]
fn odd_numbers_are_drawn_or_left_out() {
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MAX, 9e14, 1e-300, 100.0] {
        let mut base = trial(value, 500.0);
        (base.load_cpu, base.loss, base.server_cpu) = (value, Some(value), Some(value));
        let (mut huge, mut small) = (base.clone(), base.clone());
        (huge.setup_us, huge.attempts, huge.failed) = ([u64::MAX; 4], u64::MAX, u64::MAX);
        (huge.memory_bytes, huge.registrations) = (Some(u64::MAX), Some(u64::MAX));
        (small.setup_us, small.delay_us, small.standing) = ([0, 1, 2, 1 << 40], Some([0; 4]), value);
        let all = vec![base.clone(), huge.clone(), small.clone()];
        for trials in [vec![base], vec![huge; 3], vec![small], all] {
            let mut report = one(trials, Some(value));
            let capacity = Capacity {
                found: value,
                ..Capacity::default()
            };
            (report.capacity, report.seconds) = (vec![capacity], value);
            check(&report);
        }
    }
}

#[test]
fn text_is_escaped() {
    let odd = "a|b<c>&\"'`*[x](y)\n\u{1}";
    let mut report = one(vec![trial(1.0, 2.0)], Some(1.0));
    (report.searches[0].name, report.searches[0].unit) = (odd.into(), odd.into());
    report.searches.push(report.searches[0].clone());
    let (text, plots) = check(&report);
    assert!(plots.len() == 4 && !text.contains("a|b"), "{text}");
    let escaped = "### A\\|b\\<c\\>\\&\"'\\`\\*\\[x\\](y)  : 1 a\\|b";
    assert!(text.contains(escaped), "{text}");
    assert_eq!(xml(odd), "a|b&lt;c&gt;&amp;&quot;&#39;`*[x](y)  ");
    let wrong = ["<a><b></a></b>", "<a", "<a x=\"></a>", "<a>", "<a>&b</a>", "<a>></a>"];
    assert!(well_formed("<a x=\"1\"><b/>&lt;</a>\n") && !wrong.into_iter().any(well_formed));
}

#[test]
fn ticks_enclose_and_are_even() {
    let ranges = [[0.0, 1.0], [0.0, 7.3], [-2.0, 9.99], [3.0, 3.1], [5.0, 5.0]];
    for (exponent, range) in (-6..14).flat_map(|exponent| ranges.map(|range| (exponent, range))) {
        let [low, high] = range.map(|value| value * 10f64.powi(exponent));
        let ticks = ticks(low, high, 6);
        assert!((2..=13).contains(&ticks.len()), "{low} {high} {ticks:?}");
        let (first, last, step) = (ticks[0], ticks[ticks.len() - 1], ticks[1] - ticks[0]);
        assert!(
            first <= low + step * 1e-6 && last >= high - step * 1e-6,
            "{low} {high} {ticks:?}"
        );
        let even = |pair: &[f64]| ((pair[1] - pair[0]) / step - 1.0).abs() < 1e-6;
        assert!(ticks.windows(2).all(even), "{ticks:?}");
        let lead = step / 10f64.powf((step.log10() + 1e-9).floor());
        assert!([1.0, 2.0, 5.0].iter().any(|nice| (lead - nice).abs() < 1e-6), "{step}");
    }
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    for (low, high) in [(f64::NAN, 1.0), (0.0, f64::INFINITY), none, (0.0, 0.0)] {
        let labels: Vec<_> = ticks(low, high, 5).into_iter().map(exact).collect();
        assert_eq!(labels, ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
    }
}

#[test]
fn log_ticks_enclose() {
    assert_eq!(log_ticks(0.3, 90.0), [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
    for (low, high) in [(0.001, 1e14), (1.0, 1000.0), (0.07, 4.0), (2.0, 2.0)] {
        let ticks = log_ticks(low, high);
        let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
        assert!(first <= low * 1.000_001 && last >= high && first < last, "{ticks:?}");
        assert!(ticks.is_sorted(), "{ticks:?}");
    }
}

#[test]
fn numbers() {
    let exacts = [0.0, 12.0, 1234.0, 1_234_567.5, -1000.0, f64::NAN].map(exact);
    assert_eq!(exacts, ["0", "12", "1,234", "1,234,567.5", "-1,000", "–"]);
    let shorts = [0.0, 0.000_123_4, 0.1 + 0.2, 3.156, 31.56, 315.6, 3156.0].map(short);
    assert_eq!(shorts, ["0", "0.000123", "0.3", "3.16", "31.6", "316", "3,156"]);
    assert_eq!([grouped(-0.001, 1), grouped(0.1 + 0.2, 9)], ["0", "0.3"]);
}
