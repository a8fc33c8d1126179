//! From options to everything that shards are made from.

use super::Refusal;
use super::twin::{Twin, twin};
use crate::cli::Options;
use crate::engine::{Settings, Trace, Transport, Value};
use crate::inject::{File, Files, Order};
use crate::rig::Clips;
use crate::scenario::{Role, Scenario, builtin, read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

/// One scenario with its settings.
#[derive(Debug)]
pub struct RoleSetup {
    /// What is done.
    pub scenario: Arc<Scenario>,
    /// With what; `local` is where to bind.
    pub settings: Settings,
    /// Each shard has a port of its own.
    pub own_port: bool,
    /// Ports of each shard.
    pub ports: usize,
}

/// A run that can be started.
#[derive(Debug)]
pub struct Prepared {
    /// The scenarios.
    pub roles: Vec<RoleSetup>,
    /// What they play.
    pub clips: Arc<Clips>,
    /// How many shards.
    pub shards: u16,
    /// Calls in all, if there is an end.
    pub most_calls: Option<u64>,
    /// Most calls at once.
    pub limit: u64,
    /// `-3pcc`
    pub twin: Option<Twin>,
}

/// Host and port as typed, resolved.
/// # Errors
/// One sentence.
pub fn resolve(text: &str, port: u16) -> Result<SocketAddr, Refusal> {
    let wrong = |error: &dyn std::fmt::Display| Refusal::error(format!("{text}: no address of a target: {error}"));
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let with_port = if text
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
    {
        text.to_owned()
    } else {
        format!("{text}:{port}")
    };
    let mut all = with_port.to_socket_addrs().map_err(|error| wrong(&error))?;
    all.next().ok_or_else(|| wrong(&"the name has no address"))
}

/// Whether packets to it stay on this machine.
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Our address towards a target, as the kernel routes it.
#[must_use]
pub fn local_address_for(remote: SocketAddr) -> IpAddr {
    let any: SocketAddr = if remote.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let routed = UdpSocket::bind(any).and_then(|socket| {
        // Connecting a datagram socket sends nothing.
        socket.connect(remote)?;
        socket.local_addr()
    });
    routed.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

fn scenario(options: &Options) -> Result<Scenario, Refusal> {
    let mut generic: Vec<String> = options.keys.iter().map(|(name, _)| name.clone()).collect();
    generic.push("expires".into());
    if let Some(path) = &options.scenario_file {
        let name = path.display().to_string();
        let octets = std::fs::read(path).map_err(|error| Refusal::error(format!("{name} cannot be read: {error}")))?;
        // Scenarios are declared ISO-8859-1 by custom, and written in UTF-8 as often.
        let text = String::from_utf8(octets)
            .unwrap_or_else(|error| error.into_bytes().iter().map(|&octet| char::from(octet)).collect());
        return read(&name, &text, &generic).map_err(|error| Refusal::error(error.to_string()));
    }
    let default = if options.register.is_some() { "register" } else { "uac" };
    let name = options.scenario_name.as_deref().unwrap_or(default);
    let text = builtin::find(name).ok_or_else(|| {
        let known: Vec<&str> = builtin::list().map(|(name, _)| name).collect();
        Refusal::error(format!(
            "-sn {name}: no built-in scenario; there are {}",
            known.join(", ")
        ))
    })?;
    read(name, text, &generic).map_err(|error| Refusal::error(error.to_string()))
}

fn files(options: &Options) -> Result<Files, Refusal> {
    let mut files = Files::default();
    for path in &options.files {
        files.files.push(File::read(path).map_err(Refusal::error)?);
    }
    for (path, field) in &options.indexes {
        let index = files
            .find(Some(path))
            .ok_or_else(|| Refusal::error(format!("-infindex {path}: give the file with -inf first")))?;
        files.files[index].index(*field);
    }
    if let (Some(count), true) = (options.register, files.files.is_empty()) {
        files.files.push(File::users(
            count,
            options.user_first,
            &options.user_prefix,
            &options.password,
        ));
    }
    Ok(files)
}

/// Everything that a run of one scenario needs.
/// # Errors
/// [`Refusal`] with one sentence about what is wrong.
pub fn prepare(options: &Options) -> Result<Prepared, Refusal> {
    let scenario = scenario(options)?;
    let is_client = scenario.role == Role::Client;
    let twin = twin(options, &scenario)?;
    let remote = match &options.remote {
        Some(text) => Some(resolve(text, 5060)?),
        None if scenario.calls_target => {
            return Err(Refusal::error(format!(
                "scenario {} calls: give the target, such as `ringload 127.0.0.1:5060`",
                scenario.name
            )));
        }
        None => None,
    };
    if let Some(remote) = remote {
        owned(options, remote)?;
    }
    let address = |text: &Option<String>, default: IpAddr| match text {
        None => Ok(default),
        Some(text) => text
            .trim_matches(['[', ']'])
            .parse()
            .map_err(|_| Refusal::error(format!("{text:?} is no address: give one of this machine"))),
    };
    let routed = remote.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), local_address_for);
    let local = address(&options.address, routed)?;
    let media_ip = address(&options.media_address, local)?;
    let port = options.port.unwrap_or(if is_client { 0 } else { 5060 });
    let remote = remote.unwrap_or(SocketAddr::new(local, 5060));
    let globals = options.sets.iter().map(|(name, text)| {
        let value = text
            .parse()
            .map_or_else(|_| Value::Text(text.as_bytes().into()), Value::Number);
        (name.clone(), value)
    });
    let mut generic = options.keys.clone();
    if !generic.iter().any(|(name, _)| name == "expires") {
        generic.push(("expires".into(), options.expires.to_string()));
    }
    let host = options.remote.as_deref().unwrap_or("127.0.0.1");
    let settings = Settings {
        service: options.service.clone(),
        remote_host: host_of(host).to_owned(),
        remote,
        local: SocketAddr::new(local, port),
        ports: Vec::new(),
        transport: options.transport,
        media_ip,
        media_port: options.media_port,
        pid: std::process::id(),
        users: options.users.unwrap_or(0) as u32,
        auth_user: options.auth_user.clone().unwrap_or_else(|| options.service.clone()),
        auth_password: options.auth_password.clone(),
        generic,
        globals: globals.collect(),
        pause: options.pause,
        base_cseq: options.base_cseq,
        call_id: options.call_id.clone(),
        auto_answer: options.auto_answer,
        defaults: options.defaults,
        retransmit: options.retransmit && options.transport == Transport::Udp,
        most_invite: options.most_invite,
        most_other: options.most_other,
        t2: options.t2,
        receive_timeout: options.receive_timeout,
        echo: options.echo,
        files: Arc::new(files(options)?),
        seed: options.seed,
        trace: Trace {
            messages: options.trace_msg,
            errors: options.trace_err,
            logs: options.trace_logs,
        },
    };
    if uses_fields(&scenario) && settings.files.files.is_empty() {
        return Err(Refusal::error(format!(
            "scenario {} uses [field...]: give the file with -inf, or users with --register N",
            scenario.name
        )));
    }
    if let (Some(users), true) = (options.users, is_client) {
        lines_for_users(&settings.files, users)?;
    }
    let clips = Clips::load([&scenario]).map_err(Refusal::error)?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(64) as u16);
    let one_shard = scenario.writes_globals || twin.is_some();
    let shards = match options.shards {
        Some(shards) if shards > 1 && twin.is_some() => {
            return Err(Refusal::error(format!(
                "--shards {shards}: with -3pcc all calls share the link to the twin: --shards 1"
            )));
        }
        Some(shards) if shards > 1 && scenario.writes_globals => {
            return Err(Refusal::error(format!(
                "--shards {shards}: scenario {} writes <Global> variables, which all calls share: --shards 1",
                scenario.name
            )));
        }
        Some(shards) => shards,
        None if one_shard => 1,
        None => options.cores.as_ref().map_or(cores, |cores| cores.len() as u16).max(1),
    };
    // As SIPp: three times the calls that a rate makes, with a call of at least a second.
    let length = options.pause.as_secs_f64().max(1.0);
    let limit = options.limit.or(options.users).unwrap_or_else(|| {
        if is_client {
            (3.0 * options.calls_per_second().max(options.rate_max.unwrap_or(0.0)) * length).ceil() as u64
        } else {
            u64::MAX
        }
    });
    let most_calls = options.most_calls.or(options.register.map(u64::from));
    Ok(Prepared {
        roles: vec![RoleSetup {
            scenario: Arc::new(scenario),
            settings,
            own_port: is_client && (shards > 1 || options.ports > 1),
            ports: if is_client && options.transport == Transport::Udp {
                options.ports.into()
            } else {
                1
            },
        }],
        clips: Arc::new(clips),
        shards,
        most_calls,
        limit,
        twin,
    })
}

/// Load leaves this machine only when its owner says so.
pub(super) fn owned(options: &Options, address: SocketAddr) -> Result<(), Refusal> {
    if is_loopback(address.ip()) || options.owned {
        return Ok(());
    }
    Err(Refusal::error(format!(
        "{address} is not on this machine: load is sent there only with --i-own-the-target"
    )))
}

/// As SIPp: in a file of order USER each user has a line.
fn lines_for_users(files: &Files, users: u64) -> Result<(), Refusal> {
    let short = |file: &&File| file.order == Order::User && (file.len() as u64) < users;
    match files.files.iter().find(short) {
        None => Ok(()),
        Some(file) => Err(Refusal::error(format!(
            "-users {users}: {} has only {} lines, and its order is USER: a line for each user is expected",
            file.name,
            file.len()
        ))),
    }
}

/// The host of a target without its port.
fn host_of(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && (!host.contains(':') || host.starts_with('[')) => host,
        _ => text,
    }
}

fn uses_fields(scenario: &Scenario) -> bool {
    use crate::scenario::Action;
    use crate::scenario::template::Key;
    let is_field = |key: &Key| matches!(key, Key::Field { .. });
    scenario.steps.iter().any(|step| {
        let sent = step.kind.template().is_some_and(|text| text.any(&is_field));
        sent || step.actions.iter().any(|action| matches!(action, Action::LookUp(..)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        assert_eq!(resolve("127.0.0.1", 5060).expect("good").port(), 5060);
        assert_eq!(resolve("127.0.0.1:7", 5060).expect("good").port(), 7);
        assert_eq!(
            resolve("[::1]:9", 5060).expect("good"),
            "[::1]:9".parse().expect("an address")
        );
        assert!(resolve("no such host", 5060).is_err());
        assert_eq!(
            (host_of("a.b:5060"), host_of("a.b"), host_of("[::1]:5")),
            ("a.b", "a.b", "[::1]")
        );
    }

    #[test]
    fn beyond_loopback_only_when_owned() {
        let mut options = Options {
            remote: Some("192.0.2.1".into()),
            ..Options::default()
        };
        let refused = prepare(&options).expect_err("is refused");
        assert!(refused.sentence.contains("--i-own-the-target"), "{}", refused.sentence);
        options.owned = true;
        assert!(prepare(&options).is_ok());
    }
}
