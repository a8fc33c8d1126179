//! Trace files: one thread writes what all shards note.

use super::Refusal;
use crate::calendar;
use crate::cli::Options;
use crate::engine::{Note, Peer};
use crate::rig::NoteLine;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Notes that may wait.
const WAITING: usize = 8192;

#[derive(Default)]
struct Books {
    messages: Option<BufWriter<File>>,
    errors: Option<BufWriter<File>>,
    logs: Option<BufWriter<File>>,
}

/// The writing thread.
pub(super) struct Traces {
    sender: Option<SyncSender<NoteLine>>,
    thread: Option<JoinHandle<()>>,
}

impl Traces {
    pub(super) fn start(options: &Options, scenario: &str) -> Result<Self, Refusal> {
        let pid = std::process::id();
        let open = |wanted: bool, given: &Option<PathBuf>, kind: &str| -> Result<Option<BufWriter<File>>, Refusal> {
            if !wanted {
                return Ok(None);
            }
            let path = given
                .clone()
                .unwrap_or_else(|| format!("{scenario}_{pid}_{kind}.log").into());
            create(&path).map(Some)
        };
        let books = Books {
            messages: open(options.trace_msg, &options.message_file, "messages")?,
            errors: open(options.trace_err, &options.error_file, "errors")?,
            logs: open(options.trace_logs, &options.log_file, "logs")?,
        };
        if books.messages.is_none() && books.errors.is_none() && books.logs.is_none() {
            return Ok(Self {
                sender: None,
                thread: None,
            });
        }
        let (sender, notes) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("traces".into())
            .spawn(move || write_all(books, &notes))
            .map_err(|error| Refusal::error(format!("no thread can be started: {error}")))?;
        Ok(Self {
            sender: Some(sender),
            thread: Some(thread),
        })
    }

    pub(super) fn sender(&self) -> Option<SyncSender<NoteLine>> {
        self.sender.clone()
    }

    /// Writes what is left. All shards have ended by now.
    pub(super) fn finish(mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn create(path: &Path) -> Result<BufWriter<File>, Refusal> {
    File::create(path)
        .map(BufWriter::new)
        .map_err(|error| Refusal::error(format!("{} cannot be written: {error}", path.display())))
}

fn write_all(mut books: Books, notes: &Receiver<NoteLine>) {
    while let Ok(note) = notes.recv() {
        let (date, time) = calendar::utc(note.at / 1_000_000_000);
        let at = format!("{date} {time}.{:06}", note.at / 1000 % 1_000_000);
        let kind = match note.peer {
            Some(Peer::Stream(..)) => "TCP",
            Some(Peer::Datagram(_)) => "UDP",
            // A command of third-party call control.
            None => "TCP control",
        };
        let (book, head) = match note.kind {
            Note::Sent => (
                &mut books.messages,
                format!(
                    "{:-<47} {at}\n{kind} message sent ({} bytes):\n\n",
                    "",
                    note.octets.len()
                ),
            ),
            Note::Received => (
                &mut books.messages,
                format!(
                    "{:-<47} {at}\n{kind} message received [{}] bytes :\n\n",
                    "",
                    note.octets.len()
                ),
            ),
            Note::Error => (&mut books.errors, format!("{at}: ")),
            Note::Log => (&mut books.logs, String::new()),
        };
        let book = match book {
            Some(book) => book,
            // An <error> of a scenario without -trace_err.
            None => {
                let _ = writeln!(
                    std::io::stderr(),
                    "\nringload: {}",
                    String::from_utf8_lossy(&note.octets)
                );
                continue;
            }
        };
        // A full disk ends the trace, not the run.
        let _ = book.write_all(head.as_bytes());
        let _ = book.write_all(&note.octets);
        let _ = book.write_all(b"\n");
    }
    for mut book in [books.messages, books.errors, books.logs].into_iter().flatten() {
        let _ = book.flush();
    }
}
