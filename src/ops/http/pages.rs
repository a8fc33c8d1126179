//! The page, its assets and the sign-in. Nothing in a page is filled in by the server: the
//! script fetches JSON and writes text nodes.

use super::error::Failure;
use super::session::Verdict;
use super::{App, body_text, guard, query};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Instant;

const INDEX: &str = include_str!("../web/index.html");
const LOGIN: &str = include_str!("../web/login.html");
const SCRIPT: &str = include_str!("../web/app.js");
const STYLE: &str = include_str!("../web/style.css");

#[derive(Deserialize)]
struct Token {
    token: String,
}

/// The sign-in page, with what went wrong.
pub(super) fn sign_in(status: StatusCode, wrong: Option<&'static str>) -> Response {
    let note = wrong.unwrap_or("");
    let page = LOGIN.replace("<!-- note -->", note);
    let mut response = (status, Html(page)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Checks the token; opens a session and goes to the front page, or shows the sign-in page.
fn enter(app: &App, token: &str) -> Response {
    let now = Instant::now();
    let mut sessions = app.sessions();
    match sessions.check(token.trim().as_bytes(), now) {
        Verdict::Wrong => sign_in(StatusCode::UNAUTHORIZED, Some("That token is not the right one.")),
        Verdict::TooMany => {
            let mut response = sign_in(
                StatusCode::TOO_MANY_REQUESTS,
                Some("Too many wrong tokens. Wait a second, then try again."),
            );
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        Verdict::Right => {
            let cookie = format!(
                "{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200",
                app.cookie,
                sessions.open(now)
            );
            let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, "/".to_owned())];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
    }
}

/// `GET /`: the page, or with `?token=` the sign-in.
pub(super) async fn index(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, Failure> {
    if uri.query().is_some_and(|query| query.starts_with("token=")) {
        let Token { token } = query(&uri)?;
        return Ok(enter(&app, &token));
    }
    Ok(Html(INDEX).into_response())
}

/// `GET /login`.
pub(super) async fn login_page() -> Response {
    sign_in(StatusCode::OK, None)
}

/// `POST /login` from the sign-in page's form.
pub(super) async fn login(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let foreign = request
        .headers()
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site");
    if foreign {
        return Err(Failure::new(StatusCode::FORBIDDEN, "a foreign page cannot sign in"));
    }
    let form = body_text(request.into_body()).await?;
    let uri: Uri = format!("/?{}", form.trim())
        .parse()
        .map_err(|_| Failure::bad_request("a form is expected"))?;
    let Token { token } = query(&uri)?;
    Ok(enter(&app, &token))
}

/// `POST /logout`.
pub(super) async fn logout(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Some(id) = guard::session(&app, &headers) {
        app.sessions().close(id);
    }
    let cookie = format!("{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", app.cookie);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], Body::from(text)).into_response()
}

/// `GET /app.js`.
pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

/// `GET /style.css`.
pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}
