//! The web page, REST and `/metrics`: one thread with its own small runtime.

mod api;
mod error;
mod events;
mod guard;
mod listen;
mod openapi;
mod pages;
mod session;

use super::backend::Backend;
use super::capacity::Estimator;
use super::view::Views;
use axum::Router;
use axum::body::Body;
use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use axum::middleware;
use error::Failure;
use session::Sessions;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Octets of a request's body at most.
const BODY_MAX: usize = 64 * 1024;
/// Threads that wait for the shards' answers.
const WAITERS: usize = 4;
/// How long a stop lets requests end.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// The access token; at least 128 random bits, please.
    pub token: String,
    /// Names that this host may be asked by, beside literal addresses and `localhost`. Looked at
    /// only when the listener is on loopback.
    pub names: Vec<String>,
    /// Connections at one time.
    pub connections: usize,
    /// How long a connection may be without an answer.
    pub patience: Duration,
}

impl Options {
    /// The usual limits: 256 connections, 30 seconds.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            names: Vec::new(),
            connections: 256,
            patience: Duration::from_secs(30),
        }
    }
}

/// What the handlers share.
struct App {
    backend: Arc<dyn Backend>,
    views: Views,
    estimator: Mutex<Estimator>,
    events: events::Events,
    sessions: Mutex<Sessions>,
    /// Name of the session's cookie. Browsers do not tell ports apart, so it names ours.
    cookie: String,
    names: Vec<String>,
    check_host: bool,
}

impl App {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn estimator(&self) -> MutexGuard<'_, Estimator> {
        self.estimator.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running interface; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic there was printed already, and we are on our way out.
            let _ = thread.join();
        }
    }
}

/// Serves on `listener` until the returned [`Server`] is dropped, which takes half a second at most.
/// # Errors
/// When the thread, its runtime or the listener cannot be set up.
pub fn serve(listener: TcpListener, backend: Arc<dyn Backend>, options: Options) -> io::Result<Server> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let app = Arc::new(App {
        views: Views::new(backend.clone()),
        estimator: Mutex::default(),
        backend,
        events: events::Events::new(),
        sessions: Mutex::new(Sessions::new(options.token.trim())),
        cookie: format!("ringfort_session_{}", address.port()),
        names: options.names,
        check_host: address.ip().is_loopback(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WAITERS)
        .thread_name("ops-wait")
        .build()?;
    let listener = {
        let _entered = runtime.enter();
        listen::Listener::new(
            tokio::net::TcpListener::from_std(listener)?,
            options.connections,
            options.patience,
        )
    };
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::Builder::new().name("ops".into()).spawn(move || {
        runtime.block_on(async {
            tokio::spawn(events::produce(app.clone()));
            let over = |mut stopped: watch::Receiver<bool>| async move {
                // An error means that the sender is gone, which is a stop too.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let serving = axum::serve(listener, router(app)).with_graceful_shutdown(over(stopped.clone()));
            let grace = async {
                over(stopped).await;
                tokio::time::sleep(STOP_GRACE).await;
            };
            tokio::select! {
                // This server ends by its stop only.
                _ = serving.into_future() => {}
                () = grace => {}
            }
        });
        runtime.shutdown_background();
    })?;
    Ok(Server {
        stop,
        thread: Some(thread),
    })
}

fn router(app: Arc<App>) -> Router {
    let routes = openapi::ROUTES.iter().fold(Router::new(), |router, route| {
        router.route(route.path, (route.handler)())
    });
    routes
        .fallback(|| async { Failure::not_found("no such path; /api/openapi.json lists them") })
        .method_not_allowed_fallback(|| async {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// Runs something that waits for shards, away from the thread that serves.
async fn ask<T: Send + 'static>(app: &Arc<App>, what: impl FnOnce(&App) -> T + Send + 'static) -> Result<T, Failure> {
    let app = app.clone();
    let answer = tokio::task::spawn_blocking(move || what(&app)).await;
    answer.map_err(|_| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the question could not be answered"))
}

/// The query, into fields.
fn query<T: serde::de::DeserializeOwned>(uri: &Uri) -> Result<T, Failure> {
    let fields = Query::<T>::try_from_uri(uri);
    fields
        .map(|Query(fields)| fields)
        .map_err(|error| Failure::bad_request(error.body_text()))
}

/// A body of text.
async fn body_text(body: Body) -> Result<String, Failure> {
    let bytes = axum::body::to_bytes(body, BODY_MAX).await.map_err(|_| {
        Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a body of at most {BODY_MAX} octets is expected"),
        )
    })?;
    String::from_utf8(bytes.into()).map_err(|_| Failure::bad_request("UTF-8 text is expected"))
}
