//! Plain HTTP to the REST interface.

use crate::Trouble;
use crate::arguments::Arguments;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_MAX: u64 = 64 * 1024 * 1024;

/// A question.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a str,
    /// Needs no token.
    pub(crate) open: bool,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            query: &[],
            body: "",
            open: false,
        }
    }
}

/// Asks; gives the status and the JSON (null when there is none).
pub(crate) fn ask(arguments: &Arguments, ask: &Ask<'_>) -> Result<(u16, Value), Trouble> {
    let base = arguments.url.trim_end_matches('/');
    if !base.starts_with("http://") {
        return Err(Trouble(format!("--url {base}: it must begin with http://")));
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .allow_non_standard_methods(false)
        .build()
        .into();
    let mut url = format!("{base}{}", ask.path);
    for (n, (name, value)) in ask.query.iter().enumerate() {
        url += if n == 0 { "?" } else { "&" };
        url += &format!("{name}={}", encoded(value));
    }
    let mut request = ureq::http::Request::builder().method(ask.method).uri(&url);
    if !ask.open {
        request = request.header("Authorization", format!("Bearer {}", token(arguments)?));
    }
    let request = request.body(ask.body.to_owned());
    let request = request.map_err(|error| Trouble(format!("{url} cannot be asked: {error}")))?;
    let mut answer = agent.run(request).map_err(|error| unreachable(base, &error))?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_string();
    let text = text.map_err(|error| Trouble(format!("{base} broke off its answer: {error}")))?;
    let json = match text.trim() {
        "" => Value::Null,
        text => serde_json::from_str(text)
            .map_err(|_| Trouble(format!("{base} does not answer like Ringfort (status {status})")))?,
    };
    Ok((status, json))
}

/// What a refusal means for people.
pub(crate) fn refusal(arguments: &Arguments, status: u16, json: &Value) -> Trouble {
    let detail = json["detail"].as_str().unwrap_or("no detail given");
    Trouble(match status {
        401 => {
            format!(
                "{} does not accept the token: is it the one of that instance? See --token-file",
                arguments.url
            )
        }
        429 => format!("{detail}; try again in a second"),
        _ => format!("{detail} (status {status})"),
    })
}

fn unreachable(base: &str, error: &ureq::Error) -> Trouble {
    Trouble(match error {
        ureq::Error::ConnectionFailed | ureq::Error::Io(_) => {
            format!(
                "{base} cannot be reached ({error}): is `ringfort run` running, and is this its [http] listen address? See --url"
            )
        }
        ureq::Error::Timeout(_) => format!("{base} did not answer within {} seconds", TIMEOUT.as_secs()),
        other => format!("{base}: {other}"),
    })
}

fn token(arguments: &Arguments) -> Result<String, Trouble> {
    let read = |path: &Path| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
    let named = arguments
        .token_file
        .clone()
        .or_else(|| arguments.data.as_ref().map(|data| data.join("token")));
    if let Some(path) = named {
        return read(&path)
            .map_err(|error| Trouble(format!("the token file {} cannot be read: {error}", path.display())));
    }
    let usual = ["ringfort-data/token", "/var/lib/ringfort/token"].map(PathBuf::from);
    usual.iter().find_map(|path| read(path).ok()).ok_or_else(|| {
        Trouble(
            "no token found in ./ringfort-data/token or /var/lib/ringfort/token: name it with --token-file or --data"
                .into(),
        )
    })
}

/// Percent-encoding of everything that is not unreserved (RFC 3986 2.3).
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_could_steer_the_address_is_encoded() {
        assert_eq!(super::encoded("../a?b&c=d#é"), "..%2Fa%3Fb%26c%3Dd%23%C3%A9");
    }
}
