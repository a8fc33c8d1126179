//! The top floor: from a plan to a running process, and its orderly end.

#![allow(clippy::disallowed_methods, reason = "this module touches the machine")]

mod backend;
mod launch;
mod logging;
mod signals;
mod store;

use crate::cli::{self, RunArgs};
use crate::ops::http;
use crate::store::load_or_make_token;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

/// The body of `ringfort run`.
pub fn run(args: RunArgs) -> ExitCode {
    logging::start();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            tell(&stop);
            stop.code
        }
    }
}

/// Why the process cannot go on: one sentence for people, and the exit code.
struct Stop {
    sentence: String,
    code: ExitCode,
    /// It begins with `file:line:`, which editors and people look for at the line's start.
    placed: bool,
}

impl Stop {
    fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            code: ExitCode::FAILURE,
            placed: false,
        }
    }
}

fn serve(args: &RunArgs) -> Result<(), Stop> {
    let prepared = cli::prepare(args).map_err(|refusal| Stop {
        sentence: refusal.to_string(),
        code: refusal.exit_code(),
        placed: matches!(refusal, cli::Refusal::Configuration(_)),
    })?;
    for warning in &prepared.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(shortage) = prepared.plan.shortage() {
        tracing::warn!("{shortage}");
    }
    for line in prepared.plan.arithmetic() {
        tracing::info!("{line}");
    }
    // Before the shards, so that an address in use is said before anything else has begun.
    let web = match prepared.plan.http.listen {
        Some(address) => Some(TcpListener::bind(address).map_err(|error| Stop::new(not_bound(address, &error)))?),
        None => None,
    };
    let store = Arc::new(prepared.store);
    let running = launch::launch(prepared.plan, &store)?;
    for line in running.cluster.handle().describe() {
        tracing::info!("{line}");
    }
    let backend = Arc::new(backend::ShardBackend::new(&running, (*store).clone(), args.clone()));
    let mut http_text = String::from("-");
    let server = match web {
        Some(listener) => {
            let address = listener.local_addr().map_err(|error| Stop::new(error.to_string()))?;
            http_text = address.to_string();
            let file = &running.site.plan.http.token_file;
            let token = load_or_make_token(file).map_err(|error| Stop::new(error.to_string()))?;
            tracing::info!(
                "web interface: http://{address}/?token={token} (the token is in {})",
                file.display()
            );
            let mut options = http::Options::new(token);
            options.names = running.site.plan.sip.domains.clone();
            let server = http::serve(listener, backend.clone(), options)
                .map_err(|error| Stop::new(format!("cannot start the web interface: {error}")))?;
            Some(server)
        }
        None => None,
    };
    announce(&running, &http_text);
    signals::wait(&backend, &running);
    drop(server);
    running.cluster.stop();
    store.close();
    Ok(())
}

/// Why the web interface cannot listen, and what to do.
fn not_bound(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "http.listen: {address} is in use by another process: end it (`ss -lntp 'sport = {port}'` shows it) or \
             set another address in [http] listen"
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "http.listen: {address} is no address of this machine: set one that `ip address` shows in [http] listen"
        ),
        _ => format!("http.listen: cannot listen on {address}: {error}; set another address in [http] listen"),
    }
}

/// The one line on stdout, once every listener is bound, and systemd's notification.
#[expect(clippy::print_stdout, reason = "the ready line is what scripts wait for")]
fn announce(running: &launch::Running, http: &str) {
    let site = &running.site;
    let sip: Vec<String> = site
        .listeners
        .iter()
        .map(|listener| format!("{}:{}", listener.transport.param(), listener.address))
        .collect();
    println!("ready sip={} http={http} shards={}", sip.join(","), site.plan.shards);
    // Not under systemd this does nothing.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

/// A sentence on stderr, whatever the log level is.
fn tell(stop: &Stop) {
    use std::io::Write;
    let who = if stop.placed { "" } else { "ringfort: " };
    let _ = writeln!(std::io::stderr(), "{who}{}", stop.sentence);
}
