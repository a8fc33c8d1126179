//! From XML to a [`Scenario`].

use super::action::{Action, Exec, Reader};
use super::element::Element;
use super::template::{Key, Template};
use super::{Expect, Kind, Names, Optional, Receive, Role, Scenario, ScenarioError, Send, Span, Start, Step};
use regex::bytes::Regex;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Attributes that any step may have. `hide`, `display`, `crlf` and `counter` only change SIPp's screen.
const COMMON: &[&str] = &[
    "next",
    "test",
    "chance",
    "condexec",
    "condexec_inverse",
    "start_rtd",
    "rtd",
    "repeat_rtd",
    "crlf",
    "hide",
    "display",
    "counter",
    "msg",
    "comment",
];

/// Reads a scenario. `file` names it in errors; files that it plays are looked for in the working folder
/// and beside it. `generic` are the keywords given with `-key`.
/// # Errors
/// [`ScenarioError`] with the place and what is expected there.
pub fn read(file: &str, xml: &str, generic: &[String]) -> Result<Scenario, ScenarioError> {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    let document = roxmltree::Document::parse_with_options(xml, options).map_err(|error| ScenarioError {
        file: file.to_owned(),
        line: error.pos().row,
        element: String::new(),
        sentence: format!("no well-formed XML: {error}"),
    })?;
    let root = Element {
        node: document.root_element(),
        file,
    };
    if root.name() != "scenario" {
        return Err(root.error("the outermost element has to be <scenario name=\"...\">"));
    }
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    Builder {
        names: Names::default(),
        generic,
        folder,
        steps: Vec::new(),
        places: Vec::new(),
        labels: HashMap::new(),
        wanted: Vec::new(),
        txns: Vec::new(),
        rtds: vec!["1".to_owned()],
        response_bounds: Vec::new(),
        length_bounds: Vec::new(),
    }
    .build(root)
}

/// A reference to a label, resolved at the end.
struct Wanted {
    step: usize,
    attribute: &'static str,
    label: String,
}

struct Builder<'a> {
    names: Names,
    generic: &'a [String],
    folder: &'a Path,
    steps: Vec<Step>,
    places: Vec<Element<'a>>,
    labels: HashMap<String, usize>,
    wanted: Vec<Wanted>,
    txns: Vec<String>,
    rtds: Vec<String>,
    response_bounds: Vec<u64>,
    length_bounds: Vec<u64>,
}

impl<'a> Builder<'a> {
    fn build(mut self, root: Element<'a>) -> Result<Scenario, ScenarioError> {
        root.only(&[&["name"]])?;
        // Whose a variable is has to be known before it is used.
        for element in root.children().filter(|element| element.name() == "Global") {
            element.only(&[&["variables"]])?;
            for name in element.needed("variables")?.split(',') {
                self.names.declare_global(name.trim());
            }
        }
        for element in root.children() {
            self.element(element)?;
        }
        self.resolve()?;
        let Some(role) = self.role() else {
            return Err(root.error("there is no <send> and no <recv>: a call consists of at least one"));
        };
        let keeps_last = self.any_key(&|key| {
            matches!(
                key,
                Key::LastHeader(_) | Key::LastRequestUri | Key::LastCSeqNumber(_) | Key::LastBranch | Key::LastMessage
            )
        }) || self
            .steps
            .iter()
            .any(|step| !matches!(step.kind, Kind::Receive(_)) && step.actions.iter().any(Action::reads_message));
        let plays = |action: &Action| {
            matches!(
                action,
                Action::Exec(Exec::Play { .. } | Exec::PlayCapture(_) | Exec::Echo)
            )
        };
        let has_audio = self.any_key(&|key| matches!(key, Key::CallMediaPort(_)))
            || self.steps.iter().any(|step| step.actions.iter().any(plays));
        let writes_globals = self
            .steps
            .iter()
            .any(|step| step.actions.iter().any(Action::writes_global));
        Ok(Scenario {
            name: root.attribute("name").unwrap_or("scenario").to_owned(),
            role,
            keeps_last,
            has_audio,
            writes_globals,
            steps: self.steps,
            names: self.names,
            rtd_names: self.rtds,
            response_bounds: self.response_bounds,
            length_bounds: self.length_bounds,
        })
    }

    fn role(&self) -> Option<Role> {
        self.steps.iter().find_map(|step| match step.kind {
            Kind::Send(_) => Some(Role::Client),
            Kind::Receive(_) => Some(Role::Server),
            _ => None,
        })
    }

    fn any_key(&self, test: &impl Fn(&Key) -> bool) -> bool {
        self.steps.iter().any(|step| {
            let own = match &step.kind {
                Kind::Send(send) => send.template.any(test),
                _ => false,
            };
            own || step
                .actions
                .iter()
                .flat_map(Action::templates)
                .any(|text| text.any(test))
        })
    }

    fn element(&mut self, element: Element<'a>) -> Result<(), ScenarioError> {
        match element.name() {
            "send" => self.send(element),
            "recv" => self.receive(element),
            "pause" => self.pause(element),
            "nop" => {
                element.only(&[COMMON])?;
                self.step(element, Kind::Nop)
            }
            "timewait" => {
                element.only(&[COMMON, &["milliseconds"]])?;
                let time = element.millis("milliseconds")?.unwrap_or_default();
                self.step(element, Kind::TimeWait(time))
            }
            "label" => {
                element.only(&[&["id"]])?;
                let id = element.needed("id")?.trim().to_owned();
                if self.labels.insert(id.clone(), self.steps.len()).is_some() {
                    return Err(element.error(format!("label \"{id}\" stands twice")));
                }
                Ok(())
            }
            "sendCmd" | "recvCmd" => Err(element.error("third-party call control (-3pcc) is not supported by ringload")),
            "ResponseTimeRepartition" => {
                self.response_bounds = bounds(element)?;
                Ok(())
            }
            "CallLengthRepartition" => {
                self.length_bounds = bounds(element)?;
                Ok(())
            }
            "Reference" => element.only(&[&["variables"]]),
            "Global" => Ok(()),
            "User" => {
                element.only(&[&["variables"]])?;
                Err(element.error("variables of a user are not supported: use <Global> ones, or fields of -inf"))
            }
            _ => Err(element.error(
                "this element is not supported; ringload knows send, recv, pause, nop, label, timewait, Reference, Global, ResponseTimeRepartition, CallLengthRepartition",
            )),
        }
    }

    fn template(&mut self, element: Element<'_>, text: &str) -> Result<Template, ScenarioError> {
        Template::message(text, &mut self.names, self.generic).map_err(|sentence| element.error(sentence))
    }

    fn txn(&mut self, name: Option<&str>) -> Option<usize> {
        let name = name?.trim();
        Some(index_of(&mut self.txns, name))
    }

    fn rtd(&mut self, element: Element<'_>, attribute: &str) -> Result<Option<u8>, ScenarioError> {
        let name = match element.attribute(attribute).map(str::trim) {
            None | Some("false" | "0") => return Ok(None),
            Some("true") => "1",
            Some(name) => name,
        };
        let index = index_of(&mut self.rtds, name);
        match u8::try_from(index) {
            Ok(index) if usize::from(index) < crate::engine::RTDS => Ok(Some(index)),
            _ => Err(element.error(format!(
                "{attribute}=\"{name}\": no more than {} stopwatches",
                crate::engine::RTDS
            ))),
        }
    }

    fn want(&mut self, element: Element<'_>, attribute: &'static str) {
        if let Some(label) = element.attribute(attribute) {
            self.wanted.push(Wanted {
                step: self.steps.len(),
                attribute,
                label: label.trim().to_owned(),
            });
        }
    }

    /// Adds a step with what all steps may have.
    fn step(&mut self, element: Element<'a>, kind: Kind) -> Result<(), ScenarioError> {
        self.want(element, "next");
        let test = element.attribute("test").map(|name| self.names.var(name.trim()));
        let inverse = element.flag("condexec_inverse")?;
        let condexec = element
            .attribute("condexec")
            .map(|name| (self.names.var(name.trim()), inverse));
        let mut actions = Vec::new();
        for child in element.children() {
            if child.name() != "action" {
                return Err(child.error("only <action> may stand inside"));
            }
            for action in child.children() {
                let mut reader = Reader {
                    names: &mut self.names,
                    generic: self.generic,
                    folder: self.folder,
                };
                actions.push(reader.action(action)?);
            }
        }
        if matches!(kind, Kind::Send(_) | Kind::Pause(_) | Kind::TimeWait(_)) && !actions.is_empty() {
            return Err(element.error("<action> may stand in recv and nop only"));
        }
        let step = Step {
            kind,
            line: element.line(),
            next: None,
            test,
            chance: element.share("chance", 1.0)?,
            condexec,
            start_rtd: self.rtd(element, "start_rtd")?,
            rtd: self.rtd(element, "rtd")?,
            repeat_rtd: element.flag("repeat_rtd")?,
            actions,
        };
        self.steps.push(step);
        self.places.push(element);
        Ok(())
    }

    fn send(&mut self, element: Element<'a>) -> Result<(), ScenarioError> {
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

    fn receive(&mut self, element: Element<'a>) -> Result<(), ScenarioError> {
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

    fn pause(&mut self, element: Element<'a>) -> Result<(), ScenarioError> {
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

    fn resolve(&mut self) -> Result<(), ScenarioError> {
        for wanted in std::mem::take(&mut self.wanted) {
            let Some(&target) = self.labels.get(&wanted.label) else {
                let known: Vec<&str> = self.labels.keys().map(String::as_str).collect();
                return Err(self.places[wanted.step].error(format!(
                    "{}=\"{}\": there is no <label id=\"{}\"/>{}",
                    wanted.attribute,
                    wanted.label,
                    wanted.label,
                    if known.is_empty() {
                        String::new()
                    } else {
                        format!("; labels: {}", known.join(", "))
                    }
                )));
            };
            let step = &mut self.steps[wanted.step];
            match (&mut step.kind, wanted.attribute) {
                (Kind::Receive(receive), "ontimeout") => receive.ontimeout = Some(target),
                _ => step.next = Some(target),
            }
        }
        Ok(())
    }
}

fn index_of(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
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

fn bounds(element: Element<'_>) -> Result<Vec<u64>, ScenarioError> {
    element.only(&[&["value"]])?;
    let text = element.needed("value")?;
    let bounds: Result<Vec<u64>, _> = text.split(',').map(|word| word.trim().parse()).collect();
    bounds.map_err(|_| {
        element.error(format!(
            "value=\"{text}\": milliseconds with commas between are expected"
        ))
    })
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
