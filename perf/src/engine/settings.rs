//! What the command line says about a run; the same for all calls of a shard.

use super::value::Value;
use crate::inject::Files;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How signalling travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP: requests and responses are sent again until they are answered.
    Udp,
    /// TCP.
    Tcp,
}

impl Transport {
    /// As `[transport]` shows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
        }
    }
}

/// Settings of one shard.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `-s`
    pub service: String,
    /// As typed.
    pub remote_host: String,
    /// Where requests are sent.
    pub remote: SocketAddr,
    /// Our address in messages.
    pub local: SocketAddr,
    /// Our ports, when there are several: calls take them in turn.
    pub ports: Vec<u16>,
    /// `-t`
    pub transport: Transport,
    /// `-mi`
    pub media_ip: IpAddr,
    /// `-mp`
    pub media_port: u16,
    /// `[pid]`
    pub pid: u32,
    /// `-users`
    pub users: u32,
    /// `-au`, or `-s`
    pub auth_user: String,
    /// `-ap`
    pub auth_password: String,
    /// `-key`
    pub generic: Vec<(String, String)>,
    /// `-set`: first values of the run's variables.
    pub globals: Vec<(String, Value)>,
    /// `-d`
    pub pause: Duration,
    /// `-base_cseq`
    pub base_cseq: u32,
    /// `-cid_str`
    pub call_id: String,
    /// `-aa`
    pub auto_answer: bool,
    /// Without `-nd`: calls that fail are hung up, unexpected BYE and CANCEL are answered.
    pub defaults: bool,
    /// `-nr` unset.
    pub retransmit: bool,
    /// `-max_retrans` or `-max_invite_retrans`
    pub most_invite: u32,
    /// `-max_retrans` or `-max_non_invite_retrans`
    pub most_other: u32,
    /// `-T2`
    pub t2: Duration,
    /// `-recv_timeout`
    pub receive_timeout: Option<Duration>,
    /// `-rtp_echo`
    pub echo: bool,
    /// `-inf`
    pub files: Arc<Files>,
    /// Seed of pauses and chances.
    pub seed: u64,
    /// Messages, logs and errors are wanted.
    pub trace: Trace,
}

/// What is traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// `-trace_msg`
    pub messages: bool,
    /// `-trace_err`
    pub errors: bool,
    /// `-trace_logs`
    pub logs: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 5060));
        Self {
            service: "service".into(),
            remote_host: "127.0.0.1".into(),
            remote: any,
            local: any,
            ports: Vec::new(),
            transport: Transport::Udp,
            media_ip: any.ip(),
            media_port: 6000,
            pid: std::process::id(),
            users: 0,
            auth_user: "service".into(),
            auth_password: "password".into(),
            generic: Vec::new(),
            globals: Vec::new(),
            pause: Duration::ZERO,
            base_cseq: 1,
            call_id: "%u-%p@%s".into(),
            auto_answer: false,
            defaults: true,
            retransmit: true,
            most_invite: 5,
            most_other: 7,
            t2: Duration::from_secs(4),
            receive_timeout: None,
            echo: false,
            files: Arc::default(),
            seed: 1,
            trace: Trace::default(),
        }
    }
}
