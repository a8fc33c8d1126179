//! Scenarios in SIPp's language: read once, checked whole, then executed by [`crate::engine`].
//!
//! What is not supported is an error at the start, with file, line and element; nothing is skipped.

mod action;
pub mod builtin;
mod element;
mod error;
mod names;
mod read;
pub mod template;

pub use action::{Action, Exec, Number, Search, Where};
pub use error::ScenarioError;
pub use names::{Names, Scope, Var};
pub use read::read;
pub use template::Template;

use std::time::Duration;

/// Index of a step.
pub type StepId = usize;

/// One file's worth of calls.
#[derive(Debug)]
pub struct Scenario {
    /// The `name` of the scenario.
    pub name: String,
    /// The steps in order; labels are resolved.
    pub steps: Vec<Step>,
    /// Who begins: the first message of a client is sent, that of a server received.
    pub role: Role,
    /// Its first message, commands left out, is sent: it needs a target.
    pub calls_target: bool,
    /// Its part in third-party call control; `None` without commands.
    pub controller: Option<Controller>,
    /// The twin's command begins its calls.
    pub by_command: bool,
    /// The variables of calls, of users and of the whole run.
    pub names: Names,
    /// Names of the stopwatches, by number.
    pub rtd_names: Vec<String>,
    /// Bounds of the response time partition in milliseconds; empty when the scenario gives none.
    pub response_bounds: Vec<u64>,
    /// Bounds of the call length partition in milliseconds; empty when the scenario gives none.
    pub length_bounds: Vec<u64>,
    /// A template or action looks at the last received message, so calls keep it.
    pub keeps_last: bool,
    /// Some step plays audio or names a port of the call's own.
    pub has_audio: bool,
    /// A variable of the whole run is written, so that all calls have to be on one shard.
    pub writes_globals: bool,
}

impl Scenario {
    /// Whether calls send back what they hear.
    #[must_use]
    pub fn echoes(&self) -> bool {
        let is_echo = |action: &Action| matches!(action, Action::Exec(Exec::Echo));
        self.steps.iter().any(|step| step.actions.iter().any(is_echo))
    }
}

/// Who begins a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Calls start by schedule.
    Client,
    /// Calls start with a request of the other end, or with a command of the twin.
    Server,
}

/// The two ends of the link between twins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// The first command is sent: it connects to the twin.
    A,
    /// The first command is received: it listens for the twin.
    B,
}

/// One element of a scenario.
#[derive(Debug)]
pub struct Step {
    /// What it does.
    pub kind: Kind,
    /// Line in the file.
    pub line: u32,
    /// Where to go on afterwards, if not with the following step.
    pub next: Option<StepId>,
    /// `next` holds only when this variable is set.
    pub test: Option<Var>,
    /// `next` holds only with this probability.
    pub chance: Option<f64>,
    /// The step is executed only when this variable is set, or (`true`) not set.
    pub condexec: Option<(Var, bool)>,
    /// Stopwatch that starts here (from 0).
    pub start_rtd: Option<u8>,
    /// Stopwatch that is read here.
    pub rtd: Option<u8>,
    /// Reading does not end the stopwatch.
    pub repeat_rtd: bool,
    /// What is done when it was executed.
    pub actions: Vec<Action>,
}

/// Kinds of steps.
#[derive(Debug)]
pub enum Kind {
    /// Sends a message.
    Send(Send),
    /// Waits for a message.
    Receive(Receive),
    /// Waits for a time.
    Pause(Span),
    /// Does its actions only.
    Nop,
    /// The call is over and good; for so long repeated messages are still answered.
    TimeWait(Duration),
    /// Sends a command to the twin.
    SendCommand(Template),
    /// Waits for a command of the twin.
    ReceiveCommand(ReceiveCommand),
}

impl Kind {
    /// The text that it sends.
    #[must_use]
    pub fn template(&self) -> Option<&Template> {
        match self {
            Kind::Send(send) => Some(&send.template),
            Kind::SendCommand(template) => Some(template),
            _ => None,
        }
    }

    /// Whether it waits for a message or a command.
    #[must_use]
    pub fn receives(&self) -> bool {
        matches!(self, Kind::Receive(_) | Kind::ReceiveCommand(_))
    }

    /// Whether it belongs to third-party call control.
    #[must_use]
    pub fn is_command(&self) -> bool {
        matches!(self, Kind::SendCommand(_) | Kind::ReceiveCommand(_))
    }

    fn takes_actions(&self) -> bool {
        self.receives() || matches!(self, Kind::Nop)
    }
}

/// How a command is waited for.
#[derive(Debug)]
pub struct ReceiveCommand {
    /// A SIP message that the steps behind wait for may come instead.
    pub optional: bool,
    /// It fails after so long.
    pub timeout: Option<Duration>,
    /// Where to go on when it fails by time, instead of ending the call.
    pub ontimeout: Option<StepId>,
}

/// A message to send.
#[derive(Debug)]
pub struct Send {
    /// Its text.
    pub template: Template,
    /// Method of a request, or of the request that a response answers when that is known.
    pub start: Start,
    /// First retransmission after so long (UDP only), doubling; none when absent.
    pub retrans: Option<Duration>,
    /// Probability that it is only pretended to be sent.
    pub lost: f64,
    /// Transaction that begins with it, by number.
    pub start_txn: Option<usize>,
    /// Transaction whose ACK it is.
    pub ack_txn: Option<usize>,
}

/// The beginning of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Its method.
    Request(Box<str>),
    /// Its status.
    Response(u16),
}

impl Start {
    /// Whether it is a request with this method.
    #[must_use]
    pub fn is(&self, method: &str) -> bool {
        matches!(self, Start::Request(name) if **name == *method)
    }
}

/// What a receive waits for.
#[derive(Debug)]
pub struct Receive {
    /// Method of a request or status of a response.
    pub what: Expect,
    /// Whether the call may go on without it.
    pub optional: Optional,
    /// It fails after so long.
    pub timeout: Option<Duration>,
    /// Where to go on when it fails by time, instead of ending the call.
    pub ontimeout: Option<StepId>,
    /// Record-Route and Contact are kept for `[routes]` and `[next_url]`.
    pub rrs: bool,
    /// A challenge is kept for `[authentication]`.
    pub auth: bool,
    /// Probability that it is pretended not to have come.
    pub lost: f64,
    /// Transaction that a response must belong to.
    pub response_txn: Option<usize>,
}

/// Pattern of a start line.
#[derive(Debug)]
pub enum Expect {
    /// A request with this method.
    Request(Box<str>),
    /// A request whose method matches.
    RequestPattern(regex::bytes::Regex),
    /// A response with this status.
    Response(u16),
    /// A response whose status matches.
    ResponsePattern(regex::bytes::Regex),
}

/// Whether a message may fail to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optional {
    /// It must come.
    No,
    /// It may come until the next one that must come.
    Yes,
    /// It may come at any time from here on.
    Global,
}

/// How long a pause lasts.
#[derive(Clone, Debug)]
pub enum Span {
    /// As `-d` says.
    Default,
    /// Always so long.
    Fixed(Duration),
    /// As many milliseconds as the variable says.
    Variable(Var),
    /// Evenly between two times.
    Uniform(Duration, Duration),
    /// Normal distribution, in milliseconds: mean and standard deviation.
    Normal(f64, f64),
    /// Exponential distribution with this mean in milliseconds.
    Exponential(f64),
}
