//! Server-sent events: one producer for all browsers. A browser that is too slow misses some.

use super::error::Failure;
use super::{App, ask};
use crate::ops::live::Live;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, broadcast};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

/// Browsers at one time.
const LISTENERS: usize = 64;
/// Messages that a slow browser may lag behind.
const LAG: usize = 16;
/// Calls and bindings shown at most.
const ROWS: usize = 50;

/// A rendered event.
#[derive(Clone)]
struct Message {
    event: &'static str,
    data: Arc<str>,
}

impl Message {
    fn new(event: &'static str, data: &impl serde::Serialize) -> Self {
        // Our own types always serialize.
        Self {
            event,
            data: serde_json::to_string(data).unwrap_or_default().into(),
        }
    }

    fn render(&self) -> Result<Event, Infallible> {
        Ok(Event::default().event(self.event).data(&*self.data))
    }
}

pub(super) struct Events {
    live: Mutex<(Live, Option<Message>)>,
    sender: broadcast::Sender<Message>,
    places: Arc<Semaphore>,
}

impl Events {
    pub(super) fn new() -> Self {
        let (sender, _) = broadcast::channel(LAG);
        Self {
            live: Mutex::default(),
            sender,
            places: Arc::new(Semaphore::new(LISTENERS)),
        }
    }

    fn live(&self) -> std::sync::MutexGuard<'_, (Live, Option<Message>)> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the runtime ends. Figures are taken even while nobody looks, for the charts and the
/// estimate of capacity; calls and bindings only when somebody does.
pub(super) async fn produce(app: Arc<App>) {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut odd = false;
    loop {
        clock.tick().await;
        odd = !odd;
        let looked_at = app.events.sender.receiver_count() > 0;
        let made = ask(&app, move |app| {
            let view = app.views.get();
            app.estimator().tick(&view);
            let figures = app.events.live().0.tick(view, app.backend.draining());
            let mut messages = vec![Message::new("figures", &figures)];
            if looked_at {
                messages.push(Message::new("calls", &app.backend.calls(ROWS)));
                if odd {
                    messages.push(Message::new("registrations", &app.backend.registrations(ROWS, "")));
                }
            }
            messages
        });
        let Ok(messages) = made.await else { continue };
        app.events.live().1 = messages.first().cloned();
        for message in messages {
            // Fails only when nobody listens.
            let _ = app.events.sender.send(message);
        }
    }
}

/// `GET /events`.
pub(super) async fn listen(
    State(app): State<Arc<App>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let place = app.events.places.clone().try_acquire_owned();
    let place = place.map_err(|_| Failure::unavailable("too many browsers look at once"))?;
    let receiver = app.events.sender.subscribe();
    let first = {
        let live = app.events.live();
        let history = Message::new("history", live.0.history());
        std::iter::once(history).chain(live.1.clone())
    };
    let coming = BroadcastStream::new(receiver).filter_map(Result::ok);
    let stream = tokio_stream::iter(first.collect::<Vec<_>>())
        .chain(coming)
        .map(move |message| {
            let _held_while_open = &place;
            message.render()
        });
    Ok(Sse::new(stream))
}
