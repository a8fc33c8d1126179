//! What every request passes before anything of it is looked at: the name that it was sent to,
//! who sends it, and whether a foreign page could have made the browser send it.

use super::error::Failure;
use super::session::Verdict;
use super::{App, pages};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

/// The header that our own page sends with each change. A foreign page cannot without a
/// preflight, which is never granted.
const OWN_PAGE: HeaderName = HeaderName::from_static("x-ringfort");

/// What may be asked without a sign-in.
const OPEN: &[&str] = &["/metrics", "/api/health", "/login", "/style.css"];

/// Headers of all responses.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
             frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The middleware.
pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = match admit(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(Refusal::Failure(failure)) => failure.into_response(),
        Err(Refusal::SignIn) => pages::sign_in(StatusCode::UNAUTHORIZED, None),
    };
    response.headers_mut().extend(HEADERS);
    response
}

/// Why a request goes no further.
enum Refusal {
    /// The client is told.
    Failure(Failure),
    /// A person is shown the sign-in page.
    SignIn,
}

fn admit(app: &App, request: &Request) -> Result<(), Refusal> {
    let refuse = |status, detail: &str| Err(Refusal::Failure(Failure::new(status, detail)));
    let headers = request.headers();
    if app.check_host && !host_is_ours(app, request) {
        return refuse(
            StatusCode::MISDIRECTED_REQUEST,
            "this name is not one of ours: use the address, or list the name in the configuration",
        );
    }
    if OPEN.contains(&request.uri().path()) {
        return Ok(());
    }
    let now = Instant::now();
    if let Some(token) = bearer(headers) {
        return match app.sessions().check(token, now) {
            Verdict::Right => Ok(()),
            Verdict::Wrong => refuse(StatusCode::UNAUTHORIZED, "the token is wrong"),
            Verdict::TooMany => refuse(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens in this second"),
        };
    }
    let signed_in = session(app, headers).is_some_and(|id| app.sessions().is_open(id, now));
    if !signed_in {
        // The front page answers with the sign-in page, and takes `?token=`.
        if request.uri().path() == "/" && matches!(*request.method(), Method::GET | Method::HEAD) {
            return match request.uri().query().is_some_and(|query| query.starts_with("token=")) {
                true => Ok(()),
                false => Err(Refusal::SignIn),
            };
        }
        return refuse(
            StatusCode::UNAUTHORIZED,
            "sign in, or send the token: Authorization: Bearer TOKEN",
        );
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && !headers.contains_key(OWN_PAGE) {
        return refuse(
            StatusCode::FORBIDDEN,
            "a change by a signed-in browser needs the header X-Ringfort",
        );
    }
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The session's identifier that the browser sends.
pub(super) fn session<'h>(app: &App, headers: &'h HeaderMap) -> Option<&'h str> {
    let pairs = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = pairs
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == app.cookie).map(|(_, id)| id)
}

/// A page of a foreign name that points to our address (DNS rebinding) is not ours. Literal
/// addresses cannot be pointed elsewhere.
fn host_is_ours(app: &App, request: &Request) -> bool {
    let header = match request.headers().get(header::HOST) {
        // Only something that is no browser sends none.
        None => true,
        Some(host) => host.to_str().is_ok_and(|host| name_is_ours(&app.names, host)),
    };
    header
        && request
            .uri()
            .authority()
            .is_none_or(|authority| name_is_ours(&app.names, authority.as_str()))
}

fn name_is_ours(names: &[String], host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[') {
        return literal
            .split_once(']')
            .is_some_and(|(ip, _)| ip.parse::<Ipv6Addr>().is_ok());
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name);
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|ours| ours.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::name_is_ours;

    #[test]
    fn names_and_literals() {
        let names = ["pbx.campus.example".to_owned()];
        for ours in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "[::1]:8080",
            "[::1]",
            "localhost:8080",
            "LOCALHOST",
            "pbx.campus.example.:1",
            "10.1.2.3",
        ] {
            assert!(name_is_ours(&names, ours), "{ours}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
            "[evil]",
            "[::1",
            "a:b:c",
            "0x7f000001",
        ] {
            assert!(!name_is_ours(&names, foreign), "{foreign}");
        }
    }
}
