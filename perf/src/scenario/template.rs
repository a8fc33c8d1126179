//! Message texts: literal octets and `[keywords]`, taken apart once.

use super::names::{Names, Var};

/// A message text. Lines end with CRLF; the body, if any, stands after an empty line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The parts in order.
    pub parts: Vec<Part>,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Octets as they are.
    Text(Box<[u8]>),
    /// Something that is filled in.
    Key(Key),
}

/// What is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// `[service]`: `-s`.
    Service,
    /// `[remote_ip]`, with brackets when it is IPv6.
    RemoteIp,
    /// `[remote_host]`: as typed.
    RemoteHost,
    /// `[remote_port]`, plus an offset.
    RemotePort(i32),
    /// `[transport]`: UDP or TCP.
    Transport,
    /// `[local_ip]`.
    LocalIp,
    /// `[local_ip_type]`: 4 or 6.
    LocalIpType,
    /// `[local_port]`, plus an offset.
    LocalPort(i32),
    /// `[media_ip]`.
    MediaIp,
    /// `[media_ip_type]`.
    MediaIpType,
    /// `[media_port]`, plus an offset.
    MediaPort(i32),
    /// `[auto_media_port]` and `[rtpstream_audio_port]`: the call's own port, plus an offset.
    CallMediaPort(i32),
    /// `[len]`: octets of the body, plus an offset.
    Len(i32),
    /// `[call_number]`.
    CallNumber,
    /// `[call_id]`.
    CallId,
    /// `[cseq]`, plus an offset.
    CSeq(i32),
    /// `[branch]`; an offset names the branch of an earlier or later step.
    Branch(i32),
    /// `[msg_index]`.
    MsgIndex,
    /// `[pid]`.
    Pid,
    /// `[timestamp]`: date and time of day.
    Timestamp,
    /// `[clock_tick]`: milliseconds since the start.
    ClockTick,
    /// `[routes]`: Route headers from the kept Record-Route.
    Routes,
    /// `[next_url]`: the kept Contact's URI.
    NextUrl,
    /// `[peer_tag_param]`: `;tag=...` of the other end.
    PeerTagParam,
    /// `[last_Name:]`: the header lines of the last received message, name and all.
    LastHeader(Box<str>),
    /// `[last_Request_URI]`.
    LastRequestUri,
    /// `[last_cseq_number]`, plus an offset.
    LastCSeqNumber(i32),
    /// `[last_branch]`: the topmost Via's branch of the last received message.
    LastBranch,
    /// `[last_message]`: all of it.
    LastMessage,
    /// `[fieldN]`, from the file with this name, or the first.
    Field {
        /// Which field, from 0.
        field: usize,
        /// The file's name as given to `-inf`.
        file: Option<Box<str>>,
        /// The line, for look-ups.
        line: Option<Line>,
    },
    /// `[$name]`.
    Variable(Var),
    /// `[authentication username=x password=y]`: the answer to the kept challenge.
    Authentication {
        /// Who; `-au` or `-s` when absent.
        username: Option<Vec<Part>>,
        /// `-ap` when absent.
        password: Option<Vec<Part>>,
    },
    /// `[users]`: `-users`.
    Users,
    /// `[userid]`: the call's user, from 1; 0 without `-users`.
    UserId,
    /// `[fill text=... variable=...]`: a text repeated to as many octets as the variable says.
    Fill(Box<str>, Var),
    /// A name given with `-key`.
    Generic(Box<str>),
}

/// Which line of an injection file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// This one.
    Number(usize),
    /// The one that a variable names.
    Variable(Var),
}

/// Keywords that SIPp has and this does not.
const FOREIGN: &[&str] = &["tdmmap", "server_ip", "dynamic_id", "file", "date", "sipp_version"];

impl Template {
    /// Takes a message's text apart: lines are freed of leading blanks, end with CRLF, and an empty line
    /// follows the head.
    /// # Errors
    /// One sentence about the keyword that is wrong.
    pub fn message(text: &str, names: &mut Names, generic: &[String]) -> Result<Self, String> {
        let mut lines: Vec<&str> = text.trim().lines().map(str::trim_start).collect();
        if let Some(last) = lines.last_mut() {
            *last = last.trim_end();
        }
        let mut whole = lines.join("\r\n");
        whole.push_str("\r\n");
        if !whole.contains("\r\n\r\n") {
            whole.push_str("\r\n");
        }
        Self::text(&whole, names, generic)
    }

    /// Takes any text apart.
    /// # Errors
    /// One sentence about the keyword that is wrong.
    pub fn text(text: &str, names: &mut Names, generic: &[String]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['[', '\\']) {
            literal.extend_from_slice(&rest.as_bytes()[..at]);
            if rest[at..].starts_with('\\') {
                // A backslash keeps the bracket after it; otherwise it is itself.
                let after = &rest[at + 1..];
                if let Some(bracket) = after.strip_prefix(['[', ']']) {
                    literal.push(after.as_bytes()[0]);
                    rest = bracket;
                } else {
                    literal.push(b'\\');
                    rest = after;
                }
                continue;
            }
            let inner = &rest[at + 1..];
            // IPv6 literals and other brackets that name nothing stay as they are.
            let Some(end) = closing(inner) else {
                literal.push(b'[');
                rest = inner;
                continue;
            };
            match key(&inner[..end], names, generic)? {
                Some(key) => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal).into()));
                    }
                    parts.push(Part::Key(key));
                    rest = &inner[end + 1..];
                }
                None => {
                    literal.push(b'[');
                    rest = inner;
                }
            }
        }
        literal.extend_from_slice(rest.as_bytes());
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self { parts })
    }

    /// Whether a part satisfies `test`, also inside `[authentication]`.
    pub fn any(&self, test: &impl Fn(&Key) -> bool) -> bool {
        any(&self.parts, test)
    }
}

fn any(parts: &[Part], test: &impl Fn(&Key) -> bool) -> bool {
    parts.iter().any(|part| match part {
        Part::Text(_) => false,
        Part::Key(Key::Authentication { username, password }) => {
            let inner = |parts: &Option<Vec<Part>>| parts.as_ref().is_some_and(|parts| any(parts, test));
            inner(username) || inner(password)
        }
        Part::Key(key) => test(key),
    })
}

/// The bracket that closes the one before `text`; brackets nest in `[authentication]`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            b'[' => depth += 1,
            b']' if depth == 0 => return Some(at),
            b']' => depth -= 1,
            b'\r' | b'\n' => return None,
            _ => {}
        }
    }
    None
}

/// What a keyword means; `None` when the brackets are part of the message (an IPv6 address).
fn key(inner: &str, names: &mut Names, generic: &[String]) -> Result<Option<Key>, String> {
    if let Some(name) = inner.strip_prefix('$') {
        return Ok(Some(Key::Variable(names.var(name.trim()))));
    }
    if inner.is_empty()
        || inner
            .bytes()
            .all(|octet| octet.is_ascii_hexdigit() || b":.%".contains(&octet))
    {
        return Ok(None);
    }
    let (name, arguments) = inner.split_once(' ').unwrap_or((inner, ""));
    if name == "authentication" {
        return authentication(arguments, names, generic).map(Some);
    }
    if name == "fill" {
        let variable = argument(arguments, "variable").ok_or("[fill] needs variable=NAME")?;
        let text = argument(arguments, "text").unwrap_or_else(|| "X".into());
        return Ok(Some(Key::Fill(text.into(), names.var(&variable))));
    }
    if let Some(field) = name.strip_prefix("field").and_then(|number| number.parse().ok()) {
        let line = match argument(arguments, "line") {
            None => None,
            Some(line) => Some(match line.strip_prefix("[$").and_then(|name| name.strip_suffix(']')) {
                Some(name) => Line::Variable(names.var(name)),
                None => Line::Number(
                    line.parse()
                        .map_err(|_| format!("line={line} in [{inner}]: a number or [$variable] is expected"))?,
                ),
            }),
        };
        let file = argument(arguments, "file").map(|file| file.trim_matches('"').into());
        return Ok(Some(Key::Field { field, file, line }));
    }
    if generic.iter().any(|known| known == inner) {
        return Ok(Some(Key::Generic(inner.into())));
    }
    let (plain, offset) = offset(inner);
    Ok(Some(match plain {
        "service" => Key::Service,
        "remote_ip" => Key::RemoteIp,
        "remote_host" => Key::RemoteHost,
        "remote_port" => Key::RemotePort(offset),
        "transport" => Key::Transport,
        "local_ip" => Key::LocalIp,
        "local_ip_type" => Key::LocalIpType,
        "local_port" => Key::LocalPort(offset),
        "media_ip" => Key::MediaIp,
        "media_ip_type" => Key::MediaIpType,
        "media_port" => Key::MediaPort(offset),
        "auto_media_port" | "rtpstream_audio_port" => Key::CallMediaPort(offset),
        "len" => Key::Len(offset),
        "call_number" => Key::CallNumber,
        "call_id" => Key::CallId,
        "cseq" => Key::CSeq(offset),
        "branch" => Key::Branch(offset),
        "msg_index" => Key::MsgIndex,
        "pid" => Key::Pid,
        "timestamp" => Key::Timestamp,
        "clock_tick" => Key::ClockTick,
        "routes" => Key::Routes,
        "next_url" => Key::NextUrl,
        "peer_tag_param" => Key::PeerTagParam,
        "last_Request_URI" => Key::LastRequestUri,
        "last_cseq_number" => Key::LastCSeqNumber(offset),
        "last_branch" => Key::LastBranch,
        "last_message" => Key::LastMessage,
        "users" => Key::Users,
        "userid" => Key::UserId,
        _ => {
            if let Some(header) = inner.strip_prefix("last_") {
                return Ok(Some(Key::LastHeader(header.trim_end_matches(':').into())));
            }
            if FOREIGN.contains(&name) {
                return Err(format!("keyword [{inner}] of SIPp is not supported by ringload"));
            }
            return Err(format!(
                "unknown keyword [{inner}]: expected one of SIPp's, [$variable], [fieldN] or a name given with -key"
            ));
        }
    }))
}

/// `name+N` and `name-N`.
fn offset(inner: &str) -> (&str, i32) {
    inner
        .rfind(['+', '-'])
        .and_then(|at| {
            let number = inner[at..].parse().ok()?;
            Some((&inner[..at], number))
        })
        .unwrap_or((inner, 0))
}

/// The value of `name=value` among blank-separated arguments.
fn argument(arguments: &str, name: &str) -> Option<String> {
    let at = arguments.find(&format!("{name}="))?;
    let value = &arguments[at + name.len() + 1..];
    if let Some(quoted) = value.strip_prefix('"') {
        return Some(quoted.split('"').next().unwrap_or_default().to_owned());
    }
    if let Some(inner) = value.strip_prefix('[') {
        let end = closing(inner)? + 2;
        return Some(value[..end].to_owned());
    }
    Some(value.split(' ').next().unwrap_or_default().to_owned())
}

fn authentication(arguments: &str, names: &mut Names, generic: &[String]) -> Result<Key, String> {
    if arguments.contains("aka_") {
        return Err("[authentication] with aka_ parameters (AKAv1-MD5) is not supported by ringload".into());
    }
    let mut part = |name| -> Result<Option<Vec<Part>>, String> {
        argument(arguments, name)
            .map(|value| Ok(Template::text(&value, names, generic)?.parts))
            .transpose()
    };
    Ok(Key::Authentication {
        username: part("username")?,
        password: part("password")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        Template::text(text, &mut Names::default(), &["mine".into()])
            .expect("good")
            .parts
    }

    fn text(text: &str) -> Part {
        Part::Text(text.as_bytes().into())
    }

    #[test]
    fn keywords_are_found() {
        assert_eq!(
            parts("a [service]b[local_port+2][branch-3]"),
            vec![
                text("a "),
                Part::Key(Key::Service),
                text("b"),
                Part::Key(Key::LocalPort(2)),
                Part::Key(Key::Branch(-3))
            ]
        );
        assert_eq!(parts("[last_Via:]"), vec![Part::Key(Key::LastHeader("Via".into()))]);
        assert_eq!(
            parts("[last_Call-ID:]"),
            vec![Part::Key(Key::LastHeader("Call-ID".into()))]
        );
        assert_eq!(parts("[mine]"), vec![Part::Key(Key::Generic("mine".into()))]);
    }

    #[test]
    fn brackets_that_name_nothing_stay() {
        assert_eq!(parts("sip:[2001:db8::1]:5060"), vec![text("sip:[2001:db8::1]:5060")]);
        assert_eq!(parts(r"\[service\]"), vec![text("[service]")]);
        assert_eq!(parts("a [ b"), vec![text("a [ b")]);
    }

    #[test]
    fn authentication_has_keywords_inside() {
        let [Part::Key(Key::Authentication { username, password })] =
            &parts("[authentication username=[field0] password=x]")[..]
        else {
            panic!("one key")
        };
        assert!(matches!(
            username.as_deref(),
            Some([Part::Key(Key::Field { field: 0, .. })])
        ));
        assert_eq!(password.as_deref(), Some(&[text("x")][..]));
    }

    #[test]
    fn unknown_keywords_are_named() {
        let error = Template::text("[servce]", &mut Names::default(), &[]).expect_err("unknown");
        assert!(error.contains("[servce]"), "{error}");
    }

    #[test]
    fn messages_end_as_they_should() {
        let lines = |source: &str| match &Template::message(source, &mut Names::default(), &[])
            .expect("good")
            .parts[..]
        {
            [Part::Text(octets)] => String::from_utf8_lossy(octets).into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(lines("\n   A b SIP/2.0\n   X: 1\n\n  "), "A b SIP/2.0\r\nX: 1\r\n\r\n");
        assert_eq!(
            lines("\n A b SIP/2.0\n\n v=0\n s=-\n\n "),
            "A b SIP/2.0\r\n\r\nv=0\r\ns=-\r\n"
        );
    }
}
