//! What runs without a configuration file: two softphones on this host can call each other.

use crate::config::arithmetic;
use crate::config::file::{media, policy, sip};
use crate::config::machine::Machine;
use crate::config::plan::{Emergency, Http, Learn, Media, Plan, Services, Sip, User};
use crate::protocol::Transport;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The demonstration on loopback. `users` come from the store, which made their passwords.
#[must_use]
pub fn demonstration(data: PathBuf, users: Vec<User>) -> Plan {
    demonstration_on(&Machine::probe(), data, users)
}

pub(super) fn demonstration_on(machine: &Machine, data: PathBuf, users: Vec<User>) -> Plan {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let address = SocketAddr::new(loopback, 5060);
    let mut plan = Plan {
        sip: Sip {
            listeners: [Transport::Udp, Transport::Tcp]
                .map(|transport| sip::listener(transport, address))
                .into(),
            domains: ["127.0.0.1", "localhost", "ringfort.example"].map(String::from).into(),
            digest: sip::default_digest(),
            timers: sip::DEFAULT_TIMERS,
            product: sip::default_product(),
            md5_agents: sip::default_md5_agents(),
            session_expires: 1_800,
            min_se: 90,
            follow_redirects: true,
        },
        media: Media {
            addresses: vec![loopback],
            advertised: vec![loopback],
            ports: media::DEFAULT_PORTS,
            timeout: media::DEFAULT_TIMEOUT,
            quarantine: media::DEFAULT_QUARANTINE,
            learn: Learn::Nat,
            xdp: Vec::new(),
        },
        http: Http {
            listen: Some(SocketAddr::new(loopback, 8080)),
            token_file: data.join("token"),
        },
        shards: machine.cores.clamp(1, 256),
        limits: policy::DEFAULT_LIMITS,
        registrar: policy::DEFAULT_REGISTRAR,
        local: policy::DEFAULT_LOCAL,
        users,
        trunks: Vec::new(),
        routes: Vec::new(),
        emergency: Emergency {
            numbers: policy::default_emergency(),
            trunks: Vec::new(),
        },
        services: Services {
            echo: Some("9196".into()),
            music: Some("9664".into()),
        },
        data,
        demonstration: true,
        fault_injection: false,
    };
    let carried = u32::try_from(arithmetic::relayed_calls(&plan)).unwrap_or(u32::MAX);
    plan.limits.calls = plan.limits.calls.min(carried);
    plan
}
