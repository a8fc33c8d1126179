//! SIGTERM and SIGINT: drain, then end. SIGHUP: read the configuration again. The watchdog.

use super::backend::ShardBackend;
use super::launch::Running;
use crate::switch::mesh::Mesh;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Returns when the process should end: all calls are over, or the drain time has passed and the
/// rest was ended with BYE.
pub(super) fn wait(backend: &Arc<ShardBackend>, running: &Running) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        tracing::error!("signals cannot be waited for; end the process with SIGKILL");
        loop {
            std::thread::park();
        }
    };
    runtime.block_on(until_stop(backend));
    drain(backend, running);
}

async fn until_stop(backend: &Arc<ShardBackend>) {
    let (Ok(mut term), Ok(mut interrupt), Ok(mut hangup)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
        signal(SignalKind::hangup()),
    ) else {
        return std::future::pending().await;
    };
    let mut look = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            _ = term.recv() => return,
            _ = interrupt.recv() => return,
            _ = hangup.recv() => backend.reload(),
            _ = look.tick() => {
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                if backend.is_drain_asked() {
                    return;
                }
            }
        }
    }
}

fn drain(backend: &Arc<ShardBackend>, running: &Running) {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    let limit = running.site.plan.limits.drain;
    backend.start_drain();
    let began = Instant::now();
    let mut calls = backend.calls_now();
    if calls > 0 {
        tracing::info!("draining: {calls} calls may go on for {} s", limit.as_secs());
    }
    while calls > 0 && began.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(100));
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        calls = backend.calls_now();
    }
    if calls > 0 {
        tracing::info!("ending {calls} calls");
        backend.tell_all(|| Mesh::HangUpAll);
        // The BYEs leave, and phones that answer at once are heard.
        std::thread::sleep(Duration::from_millis(500));
    }
}
