//! A chart as SVG, written by hand: a few lines over one x axis.

use super::markdown::{exact, grouped, short};
use std::fmt::Write;

/// Image size and the edges of the area that the axes enclose, in pixels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 82.0;
const RIGHT: f64 = 724.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 322.0;
/// Colours of Okabe and Ito, told apart by colour-blind readers.
const PALETTE: [&str; 4] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"];
/// The lines differ by dashes too, for print without colour.
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "9 3 2 3"];
/// From this ratio of the highest to the lowest value on, a linear axis would hide the low ones.
const LOG_SPAN: f64 = 50.0;
/// Estimated width of a character of 12 pixels height: an SVG cannot measure its text.
const CHARACTER: f64 = 6.5;

/// One trial on a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) passed: bool,
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) label: String,
    pub(super) points: Vec<Point>,
}

impl Series {
    /// Without what cannot be drawn, in order of x.
    pub(super) fn new(label: String, points: impl Iterator<Item = Point>) -> Self {
        let mut points: Vec<_> = points.filter(|point| usable(point.x) && usable(point.y)).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Self { label, points }
    }

    /// One point for each x, at the mean of its trials, so that repeated trials make no zigzag.
    fn means(&self) -> Vec<(f64, f64)> {
        let same = self.points.chunk_by(|a, b| a.x == b.x);
        same.filter_map(|group| {
            let sum: f64 = group.iter().map(|point| point.y).sum();
            Some((group.first()?.x, sum / group.len() as f64))
        })
        .collect()
    }
}

/// What is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct Chart {
    /// First part of the file name.
    pub(super) file: &'static str,
    pub(super) title: &'static str,
    /// Titles of the axes, with units.
    pub(super) x: String,
    pub(super) y: &'static str,
    /// The limit that was found, and its label.
    pub(super) limit: Option<(f64, String)>,
    /// Whether the y axis may be logarithmic.
    pub(super) may_be_log: bool,
    pub(super) series: Vec<Series>,
}

/// Whether a number can be drawn; beyond the bound it is a mistake, and differences would lose digits.
pub(super) fn usable(value: f64) -> bool {
    value.is_finite() && value.abs() < 1e15
}

/// Ticks at multiples of 1, 2 or 5 times a power of ten, about `wanted`, that enclose `low` and `high`.
pub(super) fn ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let (low, high) = match (usable(low), usable(high)) {
        (true, true) if low < high => (low, high),
        (true, true) if low == high && low != 0.0 => (low.min(0.0), low.max(0.0)),
        _ => (0.0, 1.0),
    };
    let raw = (high - low) / wanted.max(1) as f64;
    let power = 10f64.powf(raw.log10().floor());
    let mut steps = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power);
    let step = steps.find(|step| *step >= raw * 0.999_999).unwrap_or(raw);
    // The slack keeps rounding from adding a tick beyond a value that is one itself.
    let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    let counts = 0..=(last - first) as u32;
    counts.map(|count| (first + f64::from(count)) * step).collect()
}

/// Ticks at powers of ten, over few decades at their 2- and 5-folds too, that enclose two values above zero.
pub(super) fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let factors: &[f64] = if last - first <= 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let all = (first..=last).flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
    let mut ticks: Vec<f64> = all.collect();
    let below = ticks.iter().rposition(|tick| *tick <= low).unwrap_or(0);
    ticks.drain(..below);
    let above = ticks.iter().position(|tick| *tick >= high).unwrap_or(ticks.len());
    ticks.truncate((above + 1).max(2));
    ticks
}

fn tick_label(value: f64) -> String {
    // Longer ones would run into the title of the axis.
    let long = value.abs() >= 1e7;
    if long { format!("{value:e}") } else { grouped(value, 9) }
}

/// For text between tags and in attributes; XML has no way to write most control characters.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Values to pixels.
struct Axis {
    ticks: Vec<f64>,
    log: bool,
    /// Pixels of the first and the last tick.
    ends: (f64, f64),
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.log { value.log10() } else { value };
        let [low, high] = [self.ticks.first(), self.ticks.last()].map(|tick| tick.map_or(0.0, |tick| scale(*tick)));
        let share = (scale(value) - low) / (high - low);
        // Rounding may lead a hair beyond the frame; nothing leads far beyond it.
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.ends.0 + share * (self.ends.1 - self.ends.0)
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let none = (f64::INFINITY, f64::NEG_INFINITY);
    values.fold(none, |(low, high), value| (low.min(value), high.max(value)))
}

impl Chart {
    pub(super) fn points(&self) -> impl Iterator<Item = &Point> {
        self.series.iter().flat_map(|series| &series.points)
    }

    fn x_axis(&self) -> Axis {
        let limit = self.limit.iter().map(|(limit, _)| *limit);
        let (low, high) = bounds(self.points().map(|point| point.x).chain(limit));
        let (ticks, log, ends) = (ticks(low.min(0.0), high, 8), false, (LEFT, RIGHT));
        Axis { ticks, log, ends }
    }

    fn y_axis(&self) -> Axis {
        // A logarithmic axis has no zero: such points are drawn at its lower end.
        let values = self.points().map(|point| point.y);
        let (low, high) = bounds(values.filter(|y| !self.may_be_log || *y > 0.0));
        let log = self.may_be_log && high / low > LOG_SPAN;
        let linear = || ticks(low.min(0.0), high, 5);
        let (ticks, ends) = (if log { log_ticks(low, high) } else { linear() }, (BOTTOM, TOP));
        Axis { ticks, log, ends }
    }

    /// The image. Writing to a string cannot fail, here and below.
    pub(super) fn svg(&self, id: &str, caption: &str, about: &str) -> String {
        let (x, y) = (self.x_axis(), self.y_axis());
        let (id, caption, about) = (xml(id), xml(caption), xml(about));
        let mut out = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{id}-title {id}-about" font-family="system-ui, sans-serif" font-size="12" fill="#222">
<title id="{id}-title">{caption}</title>
<desc id="{id}-about">{about}</desc>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{LEFT}" y="24" font-size="15" font-weight="600">{caption}</text>
"##
        );
        self.frame(&mut out, &x, &y);
        self.legend(&mut out);
        self.limit(&mut out, &x);
        for (index, series) in self.series.iter().enumerate() {
            draw(&mut out, series, index, &x, &y);
        }
        out.push_str("</svg>\n");
        out
    }

    fn frame(&self, out: &mut String, x: &Axis, y: &Axis) {
        for tick in &x.ticks {
            let at = x.at(*tick);
            line(out, &format!("M{at:.1} {TOP}V{BOTTOM}"), r##"stroke="#ddd""##);
            text(out, at, BOTTOM + 18.0, r#"text-anchor="middle""#, &tick_label(*tick));
        }
        for tick in &y.ticks {
            let at = y.at(*tick);
            line(out, &format!("M{LEFT} {at:.1}H{RIGHT}"), r##"stroke="#ddd""##);
            text(out, LEFT - 8.0, at + 4.0, r#"text-anchor="end""#, &tick_label(*tick));
        }
        line(out, &format!("M{LEFT} {TOP}V{BOTTOM}H{RIGHT}"), r##"stroke="#222""##);
        let (across, up) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
        text(out, across, HEIGHT - 16.0, r#"text-anchor="middle""#, &self.x);
        let turned = format!(r#"transform="rotate(-90 16 {up})" text-anchor="middle""#);
        let scale = if y.log { ", logarithmic" } else { "" };
        text(out, 16.0, up, &turned, &format!("{}{scale}", self.y));
    }

    fn legend(&self, out: &mut String) {
        let mut left = LEFT;
        for (index, series) in self.series.iter().enumerate() {
            line(out, &format!("M{left:.1} 44h26"), &stroke(index));
            marker(out, index, (left + 13.0, 44.0), colour(index), true, &series.label);
            left = entry(out, left + 32.0, &series.label) + 10.0;
        }
        for (passed, label) in [(true, "passed"), (false, "failed")] {
            marker(out, 0, (left + 5.0, 44.0), "#222", passed, label);
            left = entry(out, left + 15.0, label) + 10.0;
        }
    }

    fn limit(&self, out: &mut String, x: &Axis) {
        let Some((limit, label)) = &self.limit else { return };
        let at = x.at(*limit);
        let dashed = r##"stroke="#222" stroke-dasharray="5 4""##;
        line(out, &format!("M{at:.1} {TOP}V{BOTTOM}"), dashed);
        // The label stays within the image when the limit is at an edge.
        let half = width(label) / 2.0;
        let middle = at.min(WIDTH - 4.0 - half).max(4.0 + half);
        text(out, middle, TOP - 8.0, r#"text-anchor="middle""#, label);
    }
}

fn line(out: &mut String, path: &str, attributes: &str) {
    let _ = writeln!(out, r#"<path d="{path}" fill="none" {attributes}/>"#);
}

fn text(out: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let _ = writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" {attributes}>{}</text>"#, xml(text));
}

fn width(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

/// Label of a legend entry; returns where it ends.
fn entry(out: &mut String, left: f64, label: &str) -> f64 {
    text(out, left, 48.0, r#"text-anchor="start""#, label);
    left + width(label)
}

fn colour(index: usize) -> &'static str {
    PALETTE[index % PALETTE.len()]
}

fn stroke(index: usize) -> String {
    let (colour, dash) = (colour(index), DASHES[index % DASHES.len()]);
    format!(r#"stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}""#)
}

/// A circle, square, diamond or triangle: filled when the trial passed. A title is shown under the pointer.
fn marker(out: &mut String, index: usize, (x, y): (f64, f64), colour: &str, passed: bool, title: &str) {
    let shape = match index % 4 {
        0 => "m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
        1 => "m-4 -4h8v8h-8z",
        2 => "m0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
        _ => "m0 -5l5 9h-10z",
    };
    let fill = if passed { colour } else { "#fff" };
    let paint = format!(r#"fill="{fill}" stroke="{colour}" stroke-width="1.8""#);
    let title = xml(title);
    let _ = writeln!(
        out,
        r#"<path d="M{x:.1} {y:.1}{shape}" {paint}><title>{title}</title></path>"#
    );
}

fn draw(out: &mut String, series: &Series, index: usize, x: &Axis, y: &Axis) {
    let mut path = String::new();
    for (a, b) in series.means() {
        let step = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{step}{:.1} {:.1}", x.at(a), y.at(b));
    }
    line(out, &path, &stroke(index));
    for point in &series.points {
        let verdict = if point.passed { "passed" } else { "failed" };
        let title = format!("{}: {} at {}, {verdict}", series.label, short(point.y), exact(point.x));
        let at = (x.at(point.x), y.at(point.y));
        marker(out, index, at, colour(index), point.passed, &title);
    }
}
