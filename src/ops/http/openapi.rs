//! The routes, and the document that describes them. One table makes both, so that neither can
//! know a route that the other does not.

use super::{App, api, events, pages};
use axum::routing::{self, MethodRouter};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How a route answers when all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// JSON.
    Json,
    /// Another media type.
    Media(&'static str),
    /// Nothing.
    Empty,
}

pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    summary: &'static str,
    /// Query parameters: name, JSON type, meaning.
    query: &'static [(&'static str, &'static str, &'static str)],
    status: &'static str,
    kind: Kind,
    /// Name of the answer's schema, where it has one.
    schema: Option<&'static str>,
    /// May be asked without a sign-in.
    pub(super) open: bool,
    /// Takes a body.
    body: Option<&'static str>,
    pub(super) handler: fn() -> MethodRouter<Arc<App>>,
}

const fn get(path: &'static str, summary: &'static str, handler: fn() -> MethodRouter<Arc<App>>) -> Route {
    Route {
        method: "get",
        path,
        summary,
        query: &[],
        status: "200",
        kind: Kind::Json,
        schema: None,
        open: false,
        body: None,
        handler,
    }
}

const fn post(path: &'static str, summary: &'static str, handler: fn() -> MethodRouter<Arc<App>>) -> Route {
    Route {
        method: "post",
        ..get(path, summary, handler)
    }
}

const LIMIT: (&str, &str, &str) = ("limit", "integer", "rows at most, 1 to 10000, default 100");

/// All routes.
pub(super) const ROUTES: &[Route] = &[
    Route {
        kind: Kind::Media("text/html"),
        ..get("/", "The web page; with ?token=TOKEN signs in", || {
            routing::get(pages::index)
        })
    },
    Route {
        kind: Kind::Media("text/javascript"),
        ..get("/app.js", "The page's script", || routing::get(pages::script))
    },
    Route {
        kind: Kind::Media("text/css"),
        open: true,
        ..get("/style.css", "The page's style", || routing::get(pages::style))
    },
    Route {
        kind: Kind::Media("text/html"),
        open: true,
        ..get("/login", "The sign-in page", || routing::get(pages::login_page))
    },
    Route {
        kind: Kind::Empty,
        status: "303",
        open: true,
        body: Some("application/x-www-form-urlencoded"),
        ..post("/login", "Signs a browser in: field `token`", || {
            routing::post(pages::login)
        })
    },
    Route {
        kind: Kind::Empty,
        status: "204",
        ..post("/logout", "Signs a browser out", || routing::post(pages::logout))
    },
    Route {
        kind: Kind::Media("text/event-stream"),
        ..get(
            "/events",
            "Events `history`, `figures`, `calls`, `registrations` as they come",
            || routing::get(events::listen),
        )
    },
    Route {
        kind: Kind::Media("text/plain"),
        open: true,
        ..get("/metrics", "Prometheus text", || routing::get(api::metrics))
    },
    Route {
        open: true,
        ..get(
            "/api/health",
            "200 when all is well, 503 when draining or a shard is silent",
            || routing::get(api::health),
        )
    },
    get("/api/about", "What runs here, and its limits", || {
        routing::get(api::about)
    }),
    get("/api/shards", "The shards", || routing::get(api::shards)),
    Route {
        query: &[LIMIT],
        ..get("/api/calls", "Calls now", || routing::get(api::calls))
    },
    Route {
        method: "delete",
        kind: Kind::Empty,
        status: "204",
        ..get("/api/calls/{id}", "Ends a call", || routing::delete(api::hang_up))
    },
    Route {
        query: &[LIMIT, ("prefix", "string", "only AORs that begin so")],
        ..get("/api/registrations", "Bindings now", || {
            routing::get(api::registrations)
        })
    },
    Route {
        schema: Some("Capacity"),
        ..get(
            "/api/capacity",
            "How much more can be taken, and what gives out first",
            || routing::get(api::capacity),
        )
    },
    Route {
        status: "202",
        ..post(
            "/api/drain",
            "Refuses new calls, lets the others end, then stops",
            || routing::post(api::drain),
        )
    },
    Route {
        body: Some("text/plain"),
        ..post("/api/config/validate", "Checks a configuration text", || {
            routing::post(api::validate)
        })
    },
    Route {
        query: &[("secrets", "boolean", "with passwords")],
        ..get("/api/users", "Users", || routing::get(api::users))
    },
    Route {
        status: "202",
        query: &[("shard", "integer", "which")],
        ..post(
            "/api/testing/panic",
            "Makes a shard panic; only where faults may be injected",
            || routing::post(api::inject_panic),
        )
    },
    get("/api/openapi.json", "This document", || routing::get(api::openapi)),
];

/// The OpenAPI document.
pub(super) fn document(version: &str) -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let operations = paths.entry(route.path).or_insert_with(|| json!({}));
        operations[route.method] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Ringfort", "version": version, "description": "What operators see and do."},
        "paths": paths,
        "security": [{"token": []}, {"session": []}],
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "ringfort_session_PORT"},
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error", "detail"],
                    "properties": {"error": {"type": "string"}, "detail": {"type": "string"}},
                },
                "Capacity": capacity(),
            },
        },
    })
}

/// The answer of `/api/capacity`.
fn capacity() -> Value {
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let known = json!({"type": "number"});
    let perhaps = json!({"type": ["number", "null"], "description": "null when it cannot be told yet"});
    let text = json!({"type": "string"});
    let resource = object(json!({"resource": text, "used": known, "limit": known, "more": perhaps}));
    let room = object(json!({
        "now": known, "more": known, "bound_by": text,
        "resources": {"type": "array", "items": resource},
    }));
    let binding = json!({"type": ["string", "null"], "enum": ["processor", "transactions", null]});
    let shard = object(json!({
        "shard": known, "counted": {"type": "boolean"}, "busy": known, "limit": known,
        "others": perhaps, "others_growth": perhaps, "contended": perhaps,
        "model": {"type": ["string", "null"], "enum": ["fitted", "proportional", null]},
        "call_micros_per_second": perhaps, "packet_micros": perhaps, "message_micros": perhaps,
    }));
    object(json!({
        "calls": room,
        "calls_per_second": object(json!({
            "now": known, "more": perhaps, "bound_by": binding, "messages_per_call": perhaps, "seconds_per_call": perhaps,
        })),
        "registrations": room,
        "registers_per_second": object(json!({"now": known, "more": perhaps, "bound_by": binding})),
        "octets_per_call": known,
        "octets_per_binding": known,
        "shards": {"type": "array", "items": shard},
    }))
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = route
        .query
        .iter()
        .map(|(name, kind, meaning)| json!({"name": name, "in": "query", "description": meaning, "schema": {"type": kind}}))
        .collect();
    if route.path.contains("{id}") {
        parameters.push(json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}));
    }
    let content = match route.kind {
        Kind::Json => {
            let named = |name| json!({"$ref": format!("#/components/schemas/{name}")});
            let schema = route.schema.map_or_else(|| json!({"type": "object"}), named);
            json!({"application/json": {"schema": schema}})
        }
        Kind::Media(media) => json!({media: {"schema": {"type": "string"}}}),
        Kind::Empty => json!({}),
    };
    let error = json!({"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}});
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            route.status: {"description": "as asked", "content": content},
            "default": {"description": "an error", "content": error},
        },
    });
    if let Some(media) = route.body {
        operation["requestBody"] = json!({"content": {media: {"schema": {"type": "string"}}}});
    }
    if route.open {
        operation["security"] = json!([]);
    }
    operation
}
