//! What all steps are made with: names, stopwatches, labels, actions.

use super::Builder;
use crate::scenario::action::Reader;
use crate::scenario::element::Element;
use crate::scenario::{Kind, ScenarioError, Step, Template};

/// A reference to a label, resolved at the end.
pub(super) struct Wanted {
    step: usize,
    attribute: &'static str,
    label: String,
}

impl<'a> Builder<'a> {
    pub(super) fn template(&mut self, element: Element<'_>, text: &str) -> Result<Template, ScenarioError> {
        Template::message(text, &mut self.names, self.generic).map_err(|sentence| element.error(sentence))
    }

    pub(super) fn txn(&mut self, name: Option<&str>) -> Option<usize> {
        let name = name?.trim();
        Some(index_of(&mut self.txns, name))
    }

    pub(super) fn rtd(&mut self, element: Element<'_>, attribute: &str) -> Result<Option<u8>, ScenarioError> {
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

    pub(super) fn want(&mut self, element: Element<'_>, attribute: &'static str) {
        if let Some(label) = element.attribute(attribute) {
            self.wanted.push(Wanted {
                step: self.steps.len(),
                attribute,
                label: label.trim().to_owned(),
            });
        }
    }

    /// Adds a step with what all steps may have.
    pub(super) fn step(&mut self, element: Element<'a>, kind: Kind) -> Result<(), ScenarioError> {
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
        if !kind.takes_actions() && !actions.is_empty() {
            return Err(element.error("<action> may stand in recv, recvCmd and nop only"));
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

    pub(super) fn resolve(&mut self) -> Result<(), ScenarioError> {
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
                (Kind::ReceiveCommand(receive), "ontimeout") => receive.ontimeout = Some(target),
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
