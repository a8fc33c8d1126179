//! Each command: what is asked, and how the answer is shown.

use crate::arguments::{Arguments, Call, Config, Drain, Noun, Output, Registration, Shard, Show, User};
use crate::client::{Ask, ask, encoded, refusal};
use crate::table::{Side, Table, tame};
use crate::{Outcome, Trouble};
use Side::{Left, Right};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::Path;

type Done = Result<Outcome, Trouble>;

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> Done {
    match &arguments.noun {
        Noun::Call(Call::List(rows)) => call_list(arguments, out, rows.limit),
        Noun::Call(Call::End { id }) => call_end(arguments, out, id),
        Noun::Registration(Registration::List { rows, prefix }) => {
            registration_list(arguments, out, rows.limit, prefix)
        }
        Noun::Shard(Shard::List) => shard_list(arguments, out),
        Noun::User(User::List { secrets }) => user_list(arguments, out, *secrets),
        Noun::Capacity(Show::Show) => capacity_show(arguments, out),
        Noun::Health(Show::Show) => health_show(arguments, out),
        Noun::Config(Config::Validate { file }) => config_validate(arguments, out, file),
        Noun::Drain(Drain::Start) => drain_start(arguments, out),
    }
}

/// Asks, and takes anything but success for trouble.
fn good(arguments: &Arguments, question: &Ask<'_>) -> Result<Value, Trouble> {
    let (status, json) = ask(arguments, question)?;
    if (200..300).contains(&status) {
        Ok(json)
    } else {
        Err(refusal(arguments, status, &json))
    }
}

fn say(out: &mut dyn Write, line: &str) {
    // A closed pipe ends the output, not the command.
    let _ = writeln!(out, "{line}");
}

/// Prints JSON when that is asked for; tells whether it did.
fn as_json(arguments: &Arguments, out: &mut dyn Write, json: &Value) -> bool {
    if arguments.output == Output::Json {
        say(out, &format!("{json:#}"));
    }
    arguments.output == Output::Json
}

/// A value as a cell: text as it is, null as a dash.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn clock(value: &Value) -> String {
    let s = value.as_u64().unwrap_or(0);
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

fn rows<'v>(json: &'v Value, name: &str) -> &'v [Value] {
    json[name].as_array().map_or(&[], Vec::as_slice)
}

/// A title, a side, and how a row gives the cell.
type Column<'c> = (&'static str, Side, &'c dyn Fn(&Value) -> String);

/// A table of the rows under `name`, each column by a field or a function, and a line that says
/// how many there are when not all are shown.
fn show(out: &mut dyn Write, json: &Value, name: &str, columns: &[Column<'_>]) {
    let titles: Vec<_> = columns.iter().map(|(title, side, _)| (*title, *side)).collect();
    let mut table = Table::new(&titles);
    let rows = rows(json, name);
    rows.iter()
        .for_each(|row| table.row(columns.iter().map(|(_, _, of)| of(row)).collect()));
    let _ = table.print(out);
    let total = json["total"].as_u64().unwrap_or(0);
    if total > rows.len() as u64 {
        say(out, &format!("{} of {total}; see --limit", rows.len()));
    }
}

fn call_list(arguments: &Arguments, out: &mut dyn Write, limit: u32) -> Done {
    let limit = limit.to_string();
    let json = good(
        arguments,
        &Ask {
            query: &[("limit", &limit)],
            ..Ask::get("/api/calls")
        },
    )?;
    if as_json(arguments, out, &json) {
        return Ok(Outcome::Well);
    }
    let both = |field: &'static str| {
        move |row: &Value| {
            format!(
                "{}/{}",
                cell(&row["from_caller"][field]),
                cell(&row["from_callee"][field])
            )
        }
    };
    let path = |row: &Value| format!("{},{}", cell(&row["mode"]), cell(&row["media"]));
    let jitter = |row: &Value| {
        let of = |side: &str| row[side]["jitter_ms"].as_f64().unwrap_or(0.0);
        format!("{:.1}/{:.1}", of("from_caller"), of("from_callee"))
    };
    show(
        out,
        &json,
        "calls",
        &[
            ("ID", Left, &|row| cell(&row["id"])),
            ("STATE", Left, &|row| cell(&row["state"])),
            ("FROM", Left, &|row| cell(&row["from"])),
            ("TO", Left, &|row| cell(&row["to"])),
            ("PATH", Left, &path),
            ("TIME", Right, &|row| clock(&row["seconds"])),
            ("PACKETS", Right, &both("packets")),
            ("LOST", Right, &both("lost")),
            ("JITTER", Right, &jitter),
            ("SHARD", Right, &|row| cell(&row["shard"])),
        ],
    );
    Ok(Outcome::Well)
}

fn call_end(arguments: &Arguments, out: &mut dyn Write, id: &str) -> Done {
    let path = format!("/api/calls/{}", encoded(id));
    let (status, json) = ask(
        arguments,
        &Ask {
            method: "DELETE",
            ..Ask::get(&path)
        },
    )?;
    match status {
        200..300 => {
            say(
                out,
                &if arguments.output == Output::Json {
                    "{}".into()
                } else {
                    format!("ended {}", tame(id))
                },
            );
            Ok(Outcome::Well)
        }
        404 => Err(Trouble(format!("there is no call {} (any more)", tame(id)))),
        _ => Err(refusal(arguments, status, &json)),
    }
}

fn registration_list(arguments: &Arguments, out: &mut dyn Write, limit: u32, prefix: &str) -> Done {
    let limit = limit.to_string();
    let query = [("limit", limit.as_str()), ("prefix", prefix)];
    let mut json = good(
        arguments,
        &Ask {
            query: &query,
            ..Ask::get("/api/registrations")
        },
    )?;
    if as_json(arguments, out, &json) {
        return Ok(Outcome::Well);
    }
    if !prefix.is_empty() {
        // The total counts all bindings, not those that match.
        json["total"] = Value::Null;
    }
    show(
        out,
        &json,
        "registrations",
        &[
            ("AOR", Left, &|row| cell(&row["aor"])),
            ("CONTACT", Left, &|row| cell(&row["contact"])),
            ("SOURCE", Left, &|row| {
                format!("{}:{}", cell(&row["transport"]), cell(&row["source"]))
            }),
            ("EXPIRES", Right, &|row| clock(&row["expires_in"])),
            ("PHONE", Left, &|row| cell(&row["user_agent"])),
        ],
    );
    Ok(Outcome::Well)
}

fn shard_list(arguments: &Arguments, out: &mut dyn Write) -> Done {
    let json = good(arguments, &Ask::get("/api/shards"))?;
    if as_json(arguments, out, &json) {
        return Ok(Outcome::Well);
    }
    show(
        out,
        &json,
        "shards",
        &[
            ("SHARD", Right, &|row| cell(&row["shard"])),
            ("STATE", Left, &|row| cell(&row["state"])),
            ("BUSY", Right, &|row| {
                format!("{:.0} %", 100.0 * row["busy"].as_f64().unwrap_or(0.0))
            }),
            ("CALLS", Right, &|row| cell(&row["calls"])),
            ("REGISTRATIONS", Right, &|row| cell(&row["registrations"])),
            ("TRANSACTIONS", Right, &|row| cell(&row["transactions"])),
            ("PORTS USED", Right, &|row| cell(&row["ports_used"])),
            ("FREE", Right, &|row| cell(&row["ports_free"])),
            ("RESTING", Right, &|row| cell(&row["ports_quarantined"])),
            ("MESH", Right, &|row| cell(&row["mesh_depth"])),
            ("RESTARTS", Right, &|row| cell(&row["restarts"])),
        ],
    );
    Ok(Outcome::Well)
}

fn user_list(arguments: &Arguments, out: &mut dyn Write, secrets: bool) -> Done {
    let query: &[_] = if secrets { &[("secrets", "true")] } else { &[] };
    let json = good(
        arguments,
        &Ask {
            query,
            ..Ask::get("/api/users")
        },
    )?;
    if as_json(arguments, out, &json) {
        return Ok(Outcome::Well);
    }
    let name = |row: &Value| cell(&row["name"]);
    let display = |row: &Value| cell(&row["display"]);
    let password = |row: &Value| cell(&row["password"]);
    if secrets {
        show(
            out,
            &json,
            "users",
            &[
                ("USER", Left, &name),
                ("PASSWORD", Left, &password),
                ("DISPLAY", Left, &display),
            ],
        );
    } else {
        show(
            out,
            &json,
            "users",
            &[("USER", Left, &name), ("DISPLAY", Left, &display)],
        );
    }
    Ok(Outcome::Well)
}

fn capacity_show(arguments: &Arguments, out: &mut dyn Write) -> Done {
    let json = good(arguments, &Ask::get("/api/capacity"))?;
    if as_json(arguments, out, &json) {
        return Ok(Outcome::Well);
    }
    let mut table = Table::new(&[
        ("WORK", Left),
        ("RESOURCE", Left),
        ("USED", Right),
        ("LIMIT", Right),
        ("MORE", Right),
    ]);
    let figure = |value: &Value| match value.as_f64() {
        Some(n) if n.fract() == 0.0 => format!("{n:.0}"),
        Some(n) => format!("{n:.2}"),
        None => "-".into(),
    };
    for work in ["calls", "registrations"] {
        for row in rows(&json[work], "resources") {
            let more = if row["more"].is_null() {
                "not known yet".into()
            } else {
                cell(&row["more"])
            };
            table.row(vec![
                work.into(),
                cell(&row["resource"]),
                figure(&row["used"]),
                figure(&row["limit"]),
                more,
            ]);
        }
    }
    let _ = table.print(out);
    for work in ["calls", "registrations"] {
        let room = &json[work];
        say(
            out,
            &format!(
                "{} more {work} can be taken; first to give out: {}",
                cell(&room["more"]),
                cell(&room["bound_by"])
            ),
        );
    }
    Ok(Outcome::Well)
}

fn health_show(arguments: &Arguments, out: &mut dyn Write) -> Done {
    let (status, json) = ask(
        arguments,
        &Ask {
            open: true,
            ..Ask::get("/api/health")
        },
    )?;
    if !json["status"].is_string() {
        return Err(refusal(arguments, status, &json));
    }
    if !as_json(arguments, out, &json) {
        say(out, &cell(&json["status"]));
        show(
            out,
            &json,
            "shards",
            &[
                ("SHARD", Right, &|row| cell(&row["shard"])),
                ("STATE", Left, &|row| cell(&row["state"])),
                ("RESTARTS", Right, &|row| cell(&row["restarts"])),
            ],
        );
    }
    Ok(if status == 200 { Outcome::Well } else { Outcome::No })
}

fn config_validate(arguments: &Arguments, out: &mut dyn Write, file: &Path) -> Done {
    let mut text = String::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        _ => std::fs::read_to_string(file).map(|read| text = read),
    };
    read.map_err(|error| Trouble(format!("{} cannot be read: {error}", file.display())))?;
    let json = good(
        arguments,
        &Ask {
            method: "POST",
            body: &text,
            ..Ask::get("/api/config/validate")
        },
    )?;
    let valid = json["valid"].as_bool() == Some(true);
    if !as_json(arguments, out, &json) {
        rows(&json, "findings")
            .iter()
            .for_each(|finding| say(out, &tame(&cell(finding))));
        if valid {
            say(out, "valid");
        }
    }
    Ok(if valid { Outcome::Well } else { Outcome::No })
}

fn drain_start(arguments: &Arguments, out: &mut dyn Write) -> Done {
    let json = good(
        arguments,
        &Ask {
            method: "POST",
            ..Ask::get("/api/drain")
        },
    )?;
    if !as_json(arguments, out, &json) {
        say(
            out,
            "draining: new calls are refused; it stops when the last call has ended or the time is up",
        );
    }
    Ok(Outcome::Well)
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
