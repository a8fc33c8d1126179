//! `<send>`, `<recv>` and `<pause>`.

use super::{Builder, COMMON};
use crate::scenario::element::Element;
use crate::scenario::{Expect, Kind, Optional, Receive, ScenarioError, Send, Span, Start};
use regex::bytes::Regex;
use std::time::Duration;

impl<'a> Builder<'a> {
    pub(super) fn send(&mut self, element: Element<'a>) -> Result<(), ScenarioError> {
        element.only(&[COMMON, &["retrans", "lost", "start_txn", "ack_txn"]])?;
        let template = self.template(element, &element.text())?;
        let first = element.text();
        let start = start_of(first.trim()).ok_or_else(|| {
            element.error("the message has to begin with a request line `METHOD URI SIP/2.0` or a status line `SIP/2.0 NNN REASON`")
        })?;
        let send = Send {
            template,
            start,
            retrans: element.millis("retrans")?.filter(|time| !time.is_zero()),
            lost: element.share("lost", 100.0)?.unwrap_or(0.0),
            start_txn: self.txn(element.attribute("start_txn")),
            ack_txn: self.txn(element.attribute("ack_txn")),
        };
        self.step(element, Kind::Send(send))
    }

    pub(super) fn receive(&mut self, element: Element<'a>) -> Result<(), ScenarioError> {
        const OWN: &[&str] = &[
            "request",
            "response",
            "optional",
            "timeout",
            "ontimeout",
            "rrs",
            "auth",
            "lost",
            "response_txn",
            "regexp_match",
            "ignoresdp",
        ];
        element.only(&[COMMON, OWN])?;
        self.want(element, "ontimeout");
        let pattern = element.flag("regexp_match")?;
        let regex = |text: &str| {
            Regex::new(text).map_err(|error| element.error(format!("\"{text}\" is no regular expression: {error}")))
        };
        let what =
            match (element.attribute("request"), element.attribute("response")) {
                (Some(method), None) if pattern => Expect::RequestPattern(regex(method)?),
                (Some(method), None) => Expect::Request(method.trim().into()),
                (None, Some(status)) if pattern => Expect::ResponsePattern(regex(status)?),
                (None, Some(status)) => Expect::Response(status.trim().parse().map_err(|_| {
                    element.error(format!("response=\"{status}\": a status from 100 to 699 is expected"))
                })?),
                _ => return Err(element.error("exactly one of request=\"METHOD\" and response=\"STATUS\" is expected")),
            };
        let optional = match element.attribute("optional") {
            None | Some("false") => Optional::No,
            Some("true") => Optional::Yes,
            Some("global") => Optional::Global,
            Some(other) => {
                return Err(element.error(format!("optional=\"{other}\": true, false or global is expected")));
            }
        };
        let receive = Receive {
            what,
            optional,
            timeout: element.millis("timeout")?,
            ontimeout: None,
            rrs: element.flag("rrs")?,
            auth: element.flag("auth")?,
            lost: element.share("lost", 100.0)?.unwrap_or(0.0),
            response_txn: self.txn(element.attribute("response_txn")),
        };
        self.step(element, Kind::Receive(receive))
    }

    pub(super) fn pause(&mut self, element: Element<'a>) -> Result<(), ScenarioError> {
        const OWN: &[&str] = &[
            "milliseconds",
            "variable",
            "distribution",
            "min",
            "max",
            "mean",
            "stdev",
            "value",
            "sanity_check",
        ];
        element.only(&[COMMON, OWN])?;
        let number = |name: &str| -> Result<f64, ScenarioError> {
            element.needed(name)?;
            Ok(element.number::<f64>(name)?.unwrap_or(0.0).max(0.0))
        };
        let span = if let Some(name) = element.attribute("variable") {
            Span::Variable(self.names.var(name.trim()))
        } else if let Some(time) = element.millis("milliseconds")? {
            Span::Fixed(time)
        } else {
            match element.attribute("distribution") {
                None => Span::Default,
                Some("fixed") => Span::Fixed(Duration::from_secs_f64(number("value")? / 1000.0)),
                Some("uniform") => {
                    let (min, max) = (number("min")?, number("max")?);
                    if min > max {
                        return Err(element.error(format!("min=\"{min}\" is greater than max=\"{max}\"")));
                    }
                    Span::Uniform(
                        Duration::from_secs_f64(min / 1000.0),
                        Duration::from_secs_f64(max / 1000.0),
                    )
                }
                Some("normal") => Span::Normal(number("mean")?, number("stdev")?),
                Some("exponential") => Span::Exponential(number("mean")?),
                Some(other) => {
                    return Err(element.error(format!(
                        "distribution=\"{other}\": fixed, uniform, normal or exponential is expected"
                    )));
                }
            }
        };
        self.step(element, Kind::Pause(span))
    }
}

/// Method or status of a message's first line.
fn start_of(text: &str) -> Option<Start> {
    let line = text.lines().next()?;
    let mut words = line.split_ascii_whitespace();
    let first = words.next()?;
    if first == "SIP/2.0" {
        return words.next()?.parse().ok().map(Start::Response);
    }
    let good = line.trim_end().ends_with("SIP/2.0") && words.next().is_some();
    good.then(|| Start::Request(first.into()))
}
