//! What a step does besides sending and receiving.

use super::ScenarioError;
use super::element::Element;
use super::names::{Names, Scope, Var};
use super::template::Template;
use regex::bytes::{Regex, RegexBuilder};
use std::path::{Path, PathBuf};

/// One action.
#[derive(Debug)]
pub enum Action {
    /// Looks a pattern up and keeps what it matched.
    Search(Search),
    /// Sets a number.
    Assign(Var, Number),
    /// Sets a text.
    AssignText(Var, Template),
    /// `+`, `-`, `*` or `/` in place.
    Compute(Var, char, Number),
    /// Reads a text variable as a number.
    ToNumber(Var, Var),
    /// Compares: result, variable, kind of comparison, with what.
    Test(Option<Var>, Var, Compare, Number, Option<bool>),
    /// Compares texts: result, variable, with what.
    TextEqual(Option<Var>, Var, Template, Option<bool>),
    /// Cuts blanks off both ends.
    Trim(Var),
    /// Seconds and microseconds of the wall clock.
    Time(Var, Option<Var>),
    /// Line number in a file whose indexed field has this value, or -1.
    LookUp(Var, Box<str>, Template),
    /// Whether the last request's credentials are right.
    VerifyAuth(Var, Template, Template),
    /// A line for `-trace_logs`.
    Log(Template),
    /// A line for the error log.
    Warning(Template),
    /// Ends the run with this message.
    Error(Template),
    /// Goes on at a step.
    Jump(Number),
    /// Something done at once.
    Exec(Exec),
}

/// A pattern and where to look.
#[derive(Debug)]
pub struct Search {
    /// The pattern.
    pub regex: Regex,
    /// Where.
    pub place: Where,
    /// Fail the call when it does not match (`false`), or when it does (`true`).
    pub check: Option<bool>,
    /// The whole match, then its groups.
    pub assign: Vec<Var>,
}

/// Where a pattern is looked up.
#[derive(Debug)]
pub enum Where {
    /// The whole message.
    Message,
    /// The body.
    Body,
    /// A header: the name as written with its colon, which occurrence (from 1).
    Header(Box<str>, usize),
    /// A variable.
    Variable(Var),
}

/// A number, given or in a variable.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// Given.
    Value(f64),
    /// In a variable.
    Variable(Var),
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `equal`
    Equal,
    /// `not_equal`
    NotEqual,
    /// `greater_than`
    Greater,
    /// `less_than`
    Less,
    /// `greater_than_equal`
    GreaterEqual,
    /// `less_than_equal`
    LessEqual,
}

impl Compare {
    /// Whether it holds.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Compare::Equal => left == right,
            Compare::NotEqual => left != right,
            Compare::Greater => left > right,
            Compare::Less => left < right,
            Compare::GreaterEqual => left >= right,
            Compare::LessEqual => left <= right,
        }
    }
}

/// Things done at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Exec {
    /// Plays a file (or `tone`) as RTP in real time: path, how often (`None` for ever), payload type.
    Play {
        /// File, or `tone`.
        path: PathBuf,
        /// How often; `None` until the call ends.
        loops: Option<u32>,
        /// Payload type of the packets; what the source says otherwise.
        payload_type: Option<u8>,
    },
    /// Plays the RTP packets of a capture with their timing.
    PlayCapture(PathBuf),
    /// Stops the stream for now.
    PauseStream,
    /// Goes on with it.
    ResumeStream,
    /// From now on sends back what is received.
    Echo,
    /// Ends the call as it is.
    StopCall,
    /// No new calls; the run ends with the last one.
    StopGracefully,
    /// Ends the run.
    StopNow,
}

/// What actions are read with.
pub(super) struct Reader<'a> {
    pub(super) names: &'a mut Names,
    pub(super) generic: &'a [String],
    /// Folder that relative file names are looked up in when they are not in the working folder.
    pub(super) folder: &'a Path,
}

impl Reader<'_> {
    fn template(&mut self, element: Element<'_>, text: &str) -> Result<Template, ScenarioError> {
        Template::text(text, self.names, self.generic).map_err(|sentence| element.error(sentence))
    }

    fn var(&mut self, element: Element<'_>, attribute: &str) -> Result<Var, ScenarioError> {
        Ok(self.names.var(element.needed(attribute)?.trim()))
    }

    fn number(&mut self, element: Element<'_>) -> Result<Number, ScenarioError> {
        if let Some(variable) = element.attribute("variable") {
            return Ok(Number::Variable(self.names.var(variable.trim())));
        }
        let value = element.number("value")?;
        value
            .map(Number::Value)
            .ok_or_else(|| element.error("value=\"NUMBER\" or variable=\"NAME\" is expected"))
    }

    pub(super) fn action(&mut self, element: Element<'_>) -> Result<Action, ScenarioError> {
        match element.name() {
            "ereg" => self.search(element),
            "assign" => {
                element.only(&[&["assign_to", "value", "variable"]])?;
                Ok(Action::Assign(self.var(element, "assign_to")?, self.number(element)?))
            }
            "assignstr" => {
                element.only(&[&["assign_to", "value"]])?;
                let text = self.template(element, element.needed("value")?)?;
                Ok(Action::AssignText(self.var(element, "assign_to")?, text))
            }
            operation @ ("add" | "subtract" | "multiply" | "divide") => {
                element.only(&[&["assign_to", "value", "variable"]])?;
                let sign = match operation {
                    "add" => '+',
                    "subtract" => '-',
                    "multiply" => '*',
                    _ => '/',
                };
                Ok(Action::Compute(self.var(element, "assign_to")?, sign, self.number(element)?))
            }
            "todouble" => {
                element.only(&[&["assign_to", "variable"]])?;
                Ok(Action::ToNumber(
                    self.var(element, "assign_to")?,
                    self.var(element, "variable")?,
                ))
            }
            "test" => self.test(element),
            "strcmp" => {
                element.only(&[&["assign_to", "variable", "variable2", "value", "check_it", "check_it_inverse"]])?;
                let text = match element.attribute("variable2") {
                    Some(name) => self.template(element, &format!("[${name}]"))?,
                    None => self.template(element, element.needed("value")?)?,
                };
                let result = element.attribute("assign_to").map(|name| self.names.var(name.trim()));
                let variable = self.var(element, "variable")?;
                Ok(Action::TextEqual(result, variable, text, check(element)?))
            }
            "trim" => {
                element.only(&[&["assign_to"]])?;
                Ok(Action::Trim(self.var(element, "assign_to")?))
            }
            "gettimeofday" => {
                element.only(&[&["assign_to"]])?;
                let mut names = element.needed("assign_to")?.split(',').map(str::trim);
                let seconds = names.next().unwrap_or_default();
                let micros = names.next();
                Ok(Action::Time(
                    self.names.var(seconds),
                    micros.map(|name| self.names.var(name)),
                ))
            }
            "lookup" => {
                element.only(&[&["assign_to", "file", "key"]])?;
                let key = self.template(element, element.needed("key")?)?;
                let file = element.needed("file")?.into();
                Ok(Action::LookUp(self.var(element, "assign_to")?, file, key))
            }
            "verifyauth" => {
                element.only(&[&["assign_to", "username", "password"]])?;
                let user = self.template(element, element.needed("username")?)?;
                let password = self.template(element, element.needed("password")?)?;
                Ok(Action::VerifyAuth(self.var(element, "assign_to")?, user, password))
            }
            "log" => {
                element.only(&[&["message"]])?;
                Ok(Action::Log(self.template(element, element.needed("message")?)?))
            }
            "warning" => {
                element.only(&[&["message"]])?;
                Ok(Action::Warning(self.template(element, element.needed("message")?)?))
            }
            "error" => {
                element.only(&[&["message"]])?;
                Ok(Action::Error(self.template(element, element.needed("message")?)?))
            }
            "jump" => {
                element.only(&[&["value", "variable"]])?;
                Ok(Action::Jump(self.number(element)?))
            }
            "exec" => exec(element, self.folder).map(Action::Exec),
            other => Err(element.error(format!(
                "action <{other}> is not supported; ringload knows ereg, assign, assignstr, add, subtract, multiply, divide, todouble, test, strcmp, trim, gettimeofday, lookup, verifyauth, log, warning, error, jump, exec"
            ))),
        }
    }

    fn search(&mut self, element: Element<'_>) -> Result<Action, ScenarioError> {
        element.only(&[&[
            "regexp",
            "search_in",
            "header",
            "variable",
            "occurrence",
            "occurence",
            "case_indep",
            "start_line",
            "check_it",
            "check_it_inverse",
            "assign_to",
        ]])?;
        let pattern = element.needed("regexp")?;
        let regex = RegexBuilder::new(pattern)
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(1 << 20)
            .build()
            .map_err(|error| element.error(format!("regexp=\"{pattern}\" is no regular expression: {error}")))?;
        let place = match element.attribute("search_in").unwrap_or("msg") {
            "msg" => Where::Message,
            "body" => Where::Body,
            "hdr" => {
                let occurrence = element
                    .number("occurrence")?
                    .or(element.number("occurence")?)
                    .unwrap_or(1);
                Where::Header(element.needed("header")?.trim().into(), occurrence)
            }
            "var" => Where::Variable(self.var(element, "variable")?),
            other => return Err(element.error(format!("search_in=\"{other}\": msg, hdr, body or var is expected"))),
        };
        let names = element.needed("assign_to")?;
        let assign = names.split(',').map(|name| self.names.var(name.trim())).collect();
        Ok(Action::Search(Search {
            regex,
            place,
            check: check(element)?,
            assign,
        }))
    }

    fn test(&mut self, element: Element<'_>) -> Result<Action, ScenarioError> {
        element.only(&[&[
            "assign_to",
            "variable",
            "variable2",
            "compare",
            "value",
            "check_it",
            "check_it_inverse",
        ]])?;
        let compare = match element.needed("compare")? {
            "equal" => Compare::Equal,
            "not_equal" => Compare::NotEqual,
            "greater_than" => Compare::Greater,
            "less_than" => Compare::Less,
            "greater_than_equal" => Compare::GreaterEqual,
            "less_than_equal" => Compare::LessEqual,
            other => {
                return Err(element.error(format!(
                    "compare=\"{other}\": equal, not_equal, greater_than, less_than, greater_than_equal or less_than_equal is expected"
                )));
            }
        };
        let right = match element.attribute("variable2") {
            Some(name) => Number::Variable(self.names.var(name.trim())),
            None => Number::Value(
                element
                    .number("value")?
                    .ok_or_else(|| element.error("value=\"NUMBER\" or variable2=\"NAME\" is expected"))?,
            ),
        };
        let result = element.attribute("assign_to").map(|name| self.names.var(name.trim()));
        Ok(Action::Test(
            result,
            self.var(element, "variable")?,
            compare,
            right,
            check(element)?,
        ))
    }
}

impl Action {
    /// Whether it needs the last received message.
    pub(super) fn reads_message(&self) -> bool {
        match self {
            Action::Search(search) => !matches!(search.place, Where::Variable(_)),
            Action::VerifyAuth(..) => true,
            _ => false,
        }
    }

    /// Whether it writes a variable of the whole run.
    pub(super) fn writes_global(&self) -> bool {
        let written: &[Var] = match self {
            Action::Search(search) => &search.assign,
            Action::Assign(var, _)
            | Action::AssignText(var, _)
            | Action::Compute(var, ..)
            | Action::ToNumber(var, _)
            | Action::Trim(var)
            | Action::Time(var, _)
            | Action::LookUp(var, ..)
            | Action::VerifyAuth(var, ..)
            | Action::Test(Some(var), ..)
            | Action::TextEqual(Some(var), ..) => std::slice::from_ref(var),
            _ => &[],
        };
        written.iter().any(|var| var.scope == Scope::Global)
    }

    /// The texts in it.
    pub(super) fn templates(&self) -> Vec<&Template> {
        match self {
            Action::AssignText(_, text)
            | Action::TextEqual(_, _, text, _)
            | Action::LookUp(_, _, text)
            | Action::Log(text)
            | Action::Warning(text)
            | Action::Error(text) => vec![text],
            Action::VerifyAuth(_, user, password) => vec![user, password],
            _ => Vec::new(),
        }
    }
}

fn check(element: Element<'_>) -> Result<Option<bool>, ScenarioError> {
    let (wanted, unwanted) = (element.flag("check_it")?, element.flag("check_it_inverse")?);
    Ok((wanted || unwanted).then_some(unwanted))
}

fn exec(element: Element<'_>, folder: &Path) -> Result<Exec, ScenarioError> {
    element.only(&[&["rtp_stream", "play_pcap_audio", "int_cmd", "rtp_echo"]])?;
    // Like SIPp: as given, or beside the scenario.
    let file = |name: &str| -> Result<PathBuf, ScenarioError> {
        let given = PathBuf::from(name);
        if given.exists() {
            return Ok(given);
        }
        let beside = folder.join(name);
        if beside.exists() {
            return Ok(beside);
        }
        Err(element.error(format!(
            "there is no file {name}, neither here nor in {}",
            if folder.as_os_str().is_empty() {
                "."
            } else {
                folder.to_str().unwrap_or("?")
            }
        )))
    };
    if let Some(text) = element.attribute("rtp_stream") {
        let mut words = text.split(',').map(str::trim);
        let name = words.next().unwrap_or_default();
        match name {
            "pause" => return Ok(Exec::PauseStream),
            "resume" => return Ok(Exec::ResumeStream),
            _ => {}
        }
        let wrong = |what| {
            element.error(format!(
                "rtp_stream=\"{text}\": FILE[,LOOPS[,PAYLOAD_TYPE]] is expected: {what}"
            ))
        };
        let loops: i64 = words
            .next()
            .map_or(Ok(1), str::parse)
            .map_err(|_| wrong("LOOPS is a number, -1 for ever"))?;
        let payload_type = words
            .next()
            .map(str::parse)
            .transpose()
            .map_err(|_| wrong("PAYLOAD_TYPE is a number up to 127"))?
            .filter(|&number: &u8| number < 128);
        return Ok(Exec::Play {
            path: if name == "tone" { name.into() } else { file(name)? },
            loops: u32::try_from(loops).ok(),
            payload_type,
        });
    }
    if let Some(name) = element.attribute("play_pcap_audio") {
        return Ok(Exec::PlayCapture(file(name)?));
    }
    if element.attribute("rtp_echo").is_some() {
        return Ok(Exec::Echo);
    }
    match element.attribute("int_cmd") {
        Some("stop_call") => Ok(Exec::StopCall),
        Some("stop_gracefully") => Ok(Exec::StopGracefully),
        Some("stop_now") => Ok(Exec::StopNow),
        Some(other) => Err(element.error(format!(
            "int_cmd=\"{other}\": stop_call, stop_gracefully or stop_now is expected"
        ))),
        None => Err(element.error("rtp_stream, play_pcap_audio, rtp_echo or int_cmd is expected")),
    }
}
