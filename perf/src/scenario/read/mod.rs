//! From XML to a [`Scenario`].

mod commands;
mod parts;
mod steps;

use super::action::{Action, Exec};
use super::element::Element;
use super::names::Scope;
use super::template::Key;
use super::{Kind, Names, Role, Scenario, ScenarioError, Step};
use parts::Wanted;
use std::collections::HashMap;
use std::path::Path;

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
        for element in root.children() {
            let scope = match element.name() {
                "Global" => Scope::Global,
                "User" => Scope::User,
                _ => continue,
            };
            element.only(&[&["variables"]])?;
            for name in element.needed("variables")?.split(',') {
                let declared = self.names.declare(name.trim(), scope);
                declared.map_err(|sentence| element.error(sentence))?;
            }
        }
        for element in root.children() {
            self.element(element)?;
        }
        self.resolve()?;
        let Some(role) = self.role() else {
            return Err(root.error("there is no <send> and no <recv>: a call consists of at least one"));
        };
        let (controller, by_command, calls_target) = self.parts();
        let keeps_last = self.any_key(&|key| {
            matches!(
                key,
                Key::LastHeader(_) | Key::LastRequestUri | Key::LastCSeqNumber(_) | Key::LastBranch | Key::LastMessage
            )
        }) || self
            .steps
            .iter()
            .any(|step| !step.kind.receives() && step.actions.iter().any(Action::reads_message));
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
            calls_target,
            controller,
            by_command,
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
            Kind::Send(_) | Kind::SendCommand(_) => Some(Role::Client),
            Kind::Receive(_) | Kind::ReceiveCommand(_) => Some(Role::Server),
            _ => None,
        })
    }

    fn any_key(&self, test: &impl Fn(&Key) -> bool) -> bool {
        self.steps.iter().any(|step| {
            step.kind.template().is_some_and(|text| text.any(test))
                || step
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
            "sendCmd" => self.send_command(element),
            "recvCmd" => self.receive_command(element),
            "ResponseTimeRepartition" => {
                self.response_bounds = bounds(element)?;
                Ok(())
            }
            "CallLengthRepartition" => {
                self.length_bounds = bounds(element)?;
                Ok(())
            }
            "Reference" => element.only(&[&["variables"]]),
            "Global" | "User" => Ok(()),
            _ => Err(element.error(
                "this element is not supported; ringload knows send, recv, pause, nop, label, timewait, sendCmd, recvCmd, Reference, Global, User, ResponseTimeRepartition, CallLengthRepartition",
            )),
        }
    }
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
mod tests;
