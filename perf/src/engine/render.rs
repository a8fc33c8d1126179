//! From a template to octets.

use super::auth;
use super::call::Call;
use super::message::{self, Incoming};
use super::settings::Settings;
use super::value::Value;
use crate::scenario::template::{Key, Line, Part};
use crate::scenario::{Names, Scope, Template, Var};
use std::io::Write as _;
use std::net::IpAddr;

/// Everything besides the call that a message may show.
pub(super) struct Around<'a> {
    pub(super) settings: &'a Settings,
    pub(super) globals: &'a [Value],
    /// The message's place in the scenario, for `[branch]`.
    pub(super) step: usize,
    /// Milliseconds since the start.
    pub(super) tick: u64,
    /// Wall clock in milliseconds.
    pub(super) wall: u64,
    /// The call's own media port.
    pub(super) audio_port: Option<u16>,
}

/// Octets that `[len]` gets, as in SIPp.
const LEN_WIDTH: usize = 5;

/// Fills in what is the same for all calls, so that little is left to do for each.
#[must_use]
pub(super) fn bind(template: &Template, settings: &Settings, constant_media: bool) -> Template {
    let mut parts: Vec<Part> = Vec::new();
    let mut literal = Vec::new();
    for part in &template.parts {
        let is_constant = match part {
            Part::Text(text) => {
                literal.extend_from_slice(text);
                true
            }
            Part::Key(key) => constant(key, settings, constant_media, &mut literal),
        };
        if !is_constant {
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(part.clone());
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal.into()));
    }
    Template { parts }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(text);
}

fn ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => put(out, format_args!("{address}")),
        IpAddr::V6(address) => put(out, format_args!("[{address}]")),
    }
}

fn ip_type(address: IpAddr) -> &'static [u8] {
    if address.is_ipv4() { b"4" } else { b"6" }
}

fn port(out: &mut Vec<u8>, port: u16, offset: i32) {
    put(out, format_args!("{}", i32::from(port) + offset));
}

/// Writes a keyword that all calls share; whether it was one.
fn constant(key: &Key, settings: &Settings, constant_media: bool, out: &mut Vec<u8>) -> bool {
    match key {
        Key::Service => out.extend_from_slice(settings.service.as_bytes()),
        Key::RemoteIp => ip(out, settings.remote.ip()),
        Key::RemoteHost => out.extend_from_slice(settings.remote_host.as_bytes()),
        Key::RemotePort(offset) => port(out, settings.remote.port(), *offset),
        Key::Transport => out.extend_from_slice(settings.transport.name().as_bytes()),
        Key::LocalIp => ip(out, settings.local.ip()),
        Key::LocalIpType => out.extend_from_slice(ip_type(settings.local.ip())),
        Key::LocalPort(offset) => port(out, settings.local.port(), *offset),
        // SDP has no brackets around IPv6 (RFC 4566 section 9).
        Key::MediaIp => put(out, format_args!("{}", settings.media_ip)),
        Key::MediaIpType => out.extend_from_slice(ip_type(settings.media_ip)),
        Key::MediaPort(offset) if constant_media => port(out, settings.media_port, *offset),
        Key::Pid => put(out, format_args!("{}", settings.pid)),
        Key::Users => put(out, format_args!("{}", settings.users)),
        Key::Generic(name) => {
            let value = settings.generic.iter().find(|(known, _)| **known == **name);
            out.extend_from_slice(value.map_or("", |(_, value)| value).as_bytes());
        }
        _ => return false,
    }
    true
}

/// What a rendered message still needs.
#[derive(Default)]
struct Open {
    len: Option<(usize, i32)>,
    authentication: Option<(usize, Vec<u8>, Vec<u8>)>,
}

/// Appends the message.
pub(super) fn render(template: &Template, call: &mut Call, around: &Around<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    let mut open = Open::default();
    let mut nothing = false;
    for part in &template.parts {
        match part {
            // A header that is not there leaves no empty line: it would end the head.
            Part::Text(text) => out.extend_from_slice(if nothing {
                text.strip_prefix(b"\r\n").unwrap_or(text)
            } else {
                text
            }),
            Part::Key(key) => {
                let before = out.len();
                write(key, call, around, out, &mut open);
                let is_line = matches!(key, Key::Routes | Key::LastHeader(_)) || is_unchallenged(key, call);
                nothing = is_line && out.len() == before && (before == start || out.ends_with(b"\n"));
                continue;
            }
        }
        nothing = false;
    }
    if let Some((at, offset)) = open.len {
        let body = message::body(&out[start..]).len() as i64 + i64::from(offset);
        let text = format!("{:>LEN_WIDTH$}", body.max(0));
        let width = text.len().min(LEN_WIDTH);
        out[at..at + width].copy_from_slice(&text.as_bytes()[..width]);
    }
    if let Some((at, user, password)) = open.authentication {
        call.nonce_count += 1;
        let line = auth::answer(
            &call.challenge,
            &out[start..],
            &user,
            &password,
            call.nonce_count,
            call.number,
        );
        out.splice(at..at, line);
    }
}

/// Credentials that nobody has asked for.
fn is_unchallenged(key: &Key, call: &Call) -> bool {
    matches!(key, Key::Authentication { .. }) && call.challenge.is_empty()
}

/// A text without message rules.
pub(super) fn text(template: &Template, call: &mut Call, around: &Around<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    render(template, call, around, &mut out);
    out
}

fn variable<'a>(call: &'a Call, globals: &'a [Value], var: Var) -> &'a Value {
    const NONE: &Value = &Value::None;
    let list = match var.scope {
        Scope::Call => &call.vars[..],
        Scope::User => &call.user_vars,
        Scope::Global => globals,
    };
    list.get(usize::from(var.index)).unwrap_or(NONE)
}

fn write(key: &Key, call: &mut Call, around: &Around<'_>, out: &mut Vec<u8>, open: &mut Open) {
    match key {
        Key::MediaPort(offset) | Key::CallMediaPort(offset) => {
            port(out, around.audio_port.unwrap_or(around.settings.media_port), *offset);
        }
        Key::Len(offset) => {
            open.len = Some((out.len(), *offset));
            out.extend_from_slice(&[b' '; LEN_WIDTH]);
        }
        Key::CallNumber => number(out, call.number),
        Key::UserId => number(out, call.user),
        Key::CallId => out.extend_from_slice(&call.id),
        Key::CSeq(offset) => number(out, (i64::from(call.cseq) + i64::from(*offset)).max(0) as u64),
        Key::Branch(offset) => {
            out.extend_from_slice(b"z9hG4bK-");
            number(out, around.settings.pid.into());
            out.push(b'-');
            number(out, call.number);
            out.push(b'-');
            number(out, (around.step as i64 + i64::from(*offset)).max(0) as u64);
            if call.rounds > 0 {
                // A step that is executed again in a loop begins a new transaction.
                out.push(b'-');
                number(out, call.rounds.into());
            }
        }
        Key::MsgIndex => number(out, around.step as u64),
        Key::Timestamp => timestamp(out, around.wall),
        Key::ClockTick => number(out, around.tick),
        Key::Routes => {
            if !call.routes.is_empty() {
                out.extend_from_slice(b"Route: ");
                out.extend_from_slice(&call.routes);
            }
        }
        Key::NextUrl => out.extend_from_slice(&call.next_url),
        Key::PeerTagParam => {
            if !call.peer_tag.is_empty() {
                out.extend_from_slice(b";tag=");
                out.extend_from_slice(&call.peer_tag);
            }
        }
        Key::LastHeader(name) => last_header(&call.last, name.as_bytes(), out),
        Key::LastRequestUri => {
            out.extend_from_slice(call.last.split(|&octet| octet == b' ').nth(1).unwrap_or_default())
        }
        Key::LastCSeqNumber(offset) => {
            let cseq = Incoming::read(&call.last).map_or(0, |message| message.cseq);
            number(out, (i64::from(cseq) + i64::from(*offset)).max(0) as u64);
        }
        Key::LastBranch => {
            let via = message::values(&call.last, b"via").next();
            out.extend_from_slice(
                via.and_then(|via| message::parameter(via, b"branch"))
                    .unwrap_or_default(),
            );
        }
        Key::LastMessage => out.extend_from_slice(&call.last),
        Key::Field { field, file, line } => {
            let text = field_of(*field, file.as_deref(), line.as_ref(), call, around);
            if !text.contains("[authentication") {
                out.extend_from_slice(text.as_bytes());
            } else if let Ok(template) = Template::text(text, &mut Names::default(), &[]) {
                // As SIPp: a field may hold the credentials of its user, keyword and all.
                for part in &template.parts {
                    match part {
                        Part::Text(octets) => out.extend_from_slice(octets),
                        Part::Key(Key::Field { .. }) => {}
                        Part::Key(key) => write(key, call, around, out, open),
                    }
                }
            }
        }
        Key::Variable(var) => variable(call, around.globals, *var).write(out),
        Key::Authentication { .. } if call.challenge.is_empty() => {}
        Key::Authentication { username, password } => {
            let mut inner = |parts: &Option<Vec<Part>>, default: &str| match parts {
                None => default.as_bytes().to_vec(),
                Some(parts) => {
                    let mut text = Vec::new();
                    let mut unused = Open::default();
                    for part in parts {
                        match part {
                            Part::Text(octets) => text.extend_from_slice(octets),
                            Part::Key(Key::Authentication { .. }) => {}
                            Part::Key(key) => {
                                if !constant(key, around.settings, false, &mut text) {
                                    write(key, call, around, &mut text, &mut unused);
                                }
                            }
                        }
                    }
                    text
                }
            };
            let user = inner(username, &around.settings.auth_user);
            let password = inner(password, &around.settings.auth_password);
            open.authentication = Some((out.len(), user, password));
        }
        Key::Fill(text, var) => {
            let wanted = variable(call, around.globals, *var).number().clamp(0.0, 65_000.0) as usize;
            out.extend(text.bytes().cycle().take(wanted));
        }
        constants => {
            constant(constants, around.settings, true, out);
        }
    }
}

/// The header lines of that name as they came, the name included; several are joined as SIPp does.
fn last_header(last: &[u8], name: &[u8], out: &mut Vec<u8>) {
    let mut first = true;
    for (known, value) in message::headers(last).filter(|(known, _)| message::same_name(known, name)) {
        if !first {
            out.extend_from_slice(b"\r\n");
        }
        first = false;
        out.extend_from_slice(if known.len() == 1 { name } else { known });
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
    }
}

fn field_of<'a>(field: usize, file: Option<&str>, line: Option<&Line>, call: &Call, around: &Around<'a>) -> &'a str {
    let files = &around.settings.files;
    let Some(index) = files.find(file) else { return "" };
    let line = match line {
        None => call.lines.get(index).copied().unwrap_or(0) as usize,
        Some(Line::Number(number)) => *number,
        Some(Line::Variable(var)) => {
            let number = variable(call, around.globals, *var).number();
            if number < 0.0 {
                return "";
            }
            number as usize
        }
    };
    files.files[index].field(line, field)
}

/// Decimal digits.
pub(super) fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// `YYYY-MM-DD HH:MM:SS.mmm`, UTC.
fn timestamp(out: &mut Vec<u8>, wall_ms: u64) {
    let (date, time) = crate::calendar::utc(wall_ms / 1000);
    put(out, format_args!("{date} {time}.{:03}", wall_ms % 1000));
}

/// First values of a run's variables.
pub(super) fn globals(names: &Names, settings: &Settings) -> Vec<Value> {
    let given = |name: &String| settings.globals.iter().find(|(known, _)| known == name);
    names
        .globals()
        .iter()
        .map(|name| given(name).map_or(Value::None, |(_, value)| value.clone()))
        .collect()
}

/// A variable to write.
pub(super) fn variable_mut<'a>(call: &'a mut Call, globals: &'a mut [Value], var: Var) -> Option<&'a mut Value> {
    match var.scope {
        Scope::Call => call.vars.get_mut(usize::from(var.index)),
        Scope::User => call.user_vars.get_mut(usize::from(var.index)),
        Scope::Global => globals.get_mut(usize::from(var.index)),
    }
}

/// A variable to read.
pub(super) fn value(call: &Call, globals: &[Value], var: Var) -> Value {
    variable(call, globals, var).clone()
}

/// Whether a variable is set.
pub(super) fn is_set(call: &Call, globals: &[Value], var: Var) -> bool {
    variable(call, globals, var).is_set()
}
