//! The REST interface's handlers.

use super::error::Failure;
use super::{App, ask, body_text, openapi, query};
use crate::ops::backend::Refused;
use crate::ops::live;
use crate::ops::metrics::{MEDIA_TYPE, Scrape};
use crate::ops::process::Process;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

type Answer = Result<Json<Value>, Failure>;

/// Rows shown when no limit is given.
const ROWS: usize = 100;
/// Rows shown at most.
const ROWS_MAX: usize = 10_000;
/// A prefix longer than this matches nothing anyway.
const PREFIX_MAX: usize = 256;

fn default_rows() -> usize {
    ROWS
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    #[serde(default = "default_rows")]
    limit: usize,
    #[serde(default)]
    prefix: String,
}

fn rows(uri: &Uri) -> Result<Rows, Failure> {
    let rows: Rows = query(uri)?;
    if rows.limit == 0 || rows.limit > ROWS_MAX {
        return Err(Failure::bad_request(format!(
            "limit: a number from 1 to {ROWS_MAX} is expected"
        )));
    }
    if rows.prefix.len() > PREFIX_MAX {
        return Err(Failure::bad_request(format!(
            "prefix: at most {PREFIX_MAX} octets are expected"
        )));
    }
    Ok(rows)
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::NotFound => StatusCode::NOT_FOUND,
            Refused::Silent => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Forbidden => StatusCode::FORBIDDEN,
        };
        Failure::new(status, refused.to_string())
    }
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let text = ask(&app, |app| {
        let view = app.views.get();
        let scrape = Scrape {
            capacity: app.estimator().capacity(&view, app.backend.about()),
            view,
            about: app.backend.about().clone(),
            draining: app.backend.draining(),
            records_waiting: app.backend.records_waiting(),
            process: Process::read(),
        };
        scrape.text()
    });
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text.await?).into_response())
}

pub(super) async fn health(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let (well, report) = ask(&app, |app| live::health_report(&app.views, app.backend.draining())).await?;
    let status = if well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok((status, Json(report)).into_response())
}

pub(super) async fn about(State(app): State<Arc<App>>) -> Answer {
    Ok(Json(json!(app.backend.about())))
}

pub(super) async fn shards(State(app): State<Arc<App>>) -> Answer {
    let lines = ask(&app, |app| live::shard_lines(&app.views.get())).await?;
    Ok(Json(json!({ "shards": lines })))
}

pub(super) async fn calls(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let Rows { limit, .. } = rows(&uri)?;
    let (calls, total) = ask(&app, move |app| (app.backend.calls(limit), app.views.get().calls())).await?;
    Ok(Json(json!({"calls": calls, "total": total})))
}

pub(super) async fn hang_up(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Failure> {
    let known = |id: &str| {
        let ours = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        (1..=128).contains(&id.len()) && id.bytes().all(ours)
    };
    // What is not of the shape that we mint is no call of ours.
    let id = id
        .ok()
        .map(|Path(id)| id)
        .filter(|id| known(id))
        .ok_or_else(|| Failure::not_found("no such call"))?;
    ask(&app, move |app| app.backend.hang_up(&id)).await??;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn registrations(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let Rows { limit, prefix } = rows(&uri)?;
    let answer = ask(&app, move |app| {
        let rows = app.backend.registrations(limit, &prefix);
        json!({"registrations": rows, "total": app.views.get().sum(|f| f.registrations)})
    });
    Ok(Json(answer.await?))
}

pub(super) async fn capacity(State(app): State<Arc<App>>) -> Answer {
    let capacity = ask(&app, |app| {
        let view = app.views.get();
        app.estimator().capacity(&view, app.backend.about())
    });
    let capacity = capacity.await?;
    Ok(Json(json!(capacity)))
}

pub(super) async fn drain(State(app): State<Arc<App>>) -> Result<(StatusCode, Json<Value>), Failure> {
    ask(&app, |app| app.backend.drain()).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"status": "draining"}))))
}

pub(super) async fn validate(State(app): State<Arc<App>>, request: Request) -> Answer {
    let text = body_text(request.into_body()).await?;
    let findings = ask(&app, move |app| app.backend.validate(&text))
        .await?
        .err()
        .unwrap_or_default();
    Ok(Json(json!({"valid": findings.is_empty(), "findings": findings})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    #[serde(default)]
    secrets: bool,
}

pub(super) async fn users(State(app): State<Arc<App>>, uri: Uri) -> Answer {
    let Secrets { secrets } = query(&uri)?;
    let users = ask(&app, move |app| app.backend.users(secrets)).await?;
    Ok(Json(json!({ "users": users })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    shard: u16,
}

pub(super) async fn inject_panic(State(app): State<Arc<App>>, uri: Uri) -> Result<(StatusCode, Json<Value>), Failure> {
    if !app.backend.about().fault_injection {
        return Err(Failure::not_found("fault injection is not switched on"));
    }
    let Which { shard } = query(&uri)?;
    ask(&app, move |app| app.backend.inject_panic(shard)).await??;
    Ok((StatusCode::ACCEPTED, Json(json!({ "shard": shard }))))
}

pub(super) async fn openapi(State(app): State<Arc<App>>) -> Json<Value> {
    Json(openapi::document(&app.backend.about().version))
}
