//! `<sendCmd>` and `<recvCmd>`: third-party call control (`-3pcc`).

use super::{Builder, COMMON};
use crate::scenario::element::Element;
use crate::scenario::{Controller, Kind, ReceiveCommand, ScenarioError};

impl<'a> Builder<'a> {
    pub(super) fn send_command(&mut self, element: Element<'a>) -> Result<(), ScenarioError> {
        classic(element, "dest")?;
        element.only(&[COMMON])?;
        let text = element.text();
        if text.trim().is_empty() {
            return Err(element.error("the text of a command is expected, with a line `Call-ID: [call_id]`"));
        }
        let template = self.template(element, &text)?;
        self.step(element, Kind::SendCommand(template))
    }

    pub(super) fn receive_command(&mut self, element: Element<'a>) -> Result<(), ScenarioError> {
        classic(element, "src")?;
        element.only(&[COMMON, &["optional", "timeout", "ontimeout"]])?;
        self.want(element, "ontimeout");
        let receive = ReceiveCommand {
            optional: element.flag("optional")?,
            timeout: element.millis("timeout")?,
            ontimeout: None,
        };
        self.step(element, Kind::ReceiveCommand(receive))
    }

    /// Which controller the scenario is, whether a command begins its calls, and whether its first SIP message is
    /// sent, so that it needs a target. As SIPp decides it.
    pub(super) fn parts(&self) -> (Option<Controller>, bool, bool) {
        let kinds = || self.steps.iter().map(|step| &step.kind);
        let controller = kinds().find_map(|kind| match kind {
            Kind::SendCommand(_) => Some(Controller::A),
            Kind::ReceiveCommand(_) => Some(Controller::B),
            _ => None,
        });
        let is_message = |kind: &&Kind| matches!(kind, Kind::Send(_) | Kind::Receive(_));
        let first = kinds().find(|kind| is_message(kind) || kind.is_command());
        let by_command = matches!(first, Some(Kind::ReceiveCommand(_)));
        let calls_target = matches!(kinds().find(is_message), Some(Kind::Send(_)));
        (controller, by_command, calls_target)
    }
}

/// Refuses the attribute that names one of several twins.
fn classic(element: Element<'_>, attribute: &str) -> Result<(), ScenarioError> {
    match element.attribute(attribute) {
        None => Ok(()),
        Some(name) => Err(element.error(format!(
            "{attribute}=\"{name}\" belongs to the extended mode of -master and -slave, which ringload has not; \
             with -3pcc there is one twin, without a name"
        ))),
    }
}
