//! What the command line asks for.

use crate::engine::Transport;
use std::path::PathBuf;
use std::time::Duration;

/// Ports for audio, first and last.
pub type Ports = (u16, u16);

/// Everything that may be asked for; the defaults are SIPp's.
#[derive(Clone, Debug)]
pub struct Options {
    /// Host and port of the target.
    pub remote: Option<String>,
    /// `-sf`
    pub scenario_file: Option<PathBuf>,
    /// `-sn`
    pub scenario_name: Option<String>,
    /// `-sd`
    pub dump: Option<String>,
    /// `-m`
    pub most_calls: Option<u64>,
    /// `-p`
    pub port: Option<u16>,
    /// `-i`
    pub address: Option<String>,
    /// `-s`
    pub service: String,
    /// `-t`
    pub transport: Transport,
    /// `-r`, calls in a period.
    pub rate: f64,
    /// `-rp`
    pub period: Duration,
    /// `-l`
    pub limit: Option<u64>,
    /// `-d`
    pub pause: Duration,
    /// `-users`
    pub users: Option<u64>,
    /// `-3pcc`: host and port.
    pub third_party: Option<String>,
    /// `-rate_increase`
    pub rate_increase: Option<f64>,
    /// `-rate_max`
    pub rate_max: Option<f64>,
    /// `-rate_interval`
    pub rate_interval: Option<Duration>,
    /// `-no_rate_quit`
    pub no_rate_quit: bool,
    /// `-inf`
    pub files: Vec<String>,
    /// `-infindex`: file and field.
    pub indexes: Vec<(String, usize)>,
    /// `-au`
    pub auth_user: Option<String>,
    /// `-ap`
    pub auth_password: String,
    /// `-key`
    pub keys: Vec<(String, String)>,
    /// `-set`
    pub sets: Vec<(String, String)>,
    /// `-mi`
    pub media_address: Option<String>,
    /// `-mp`
    pub media_port: u16,
    /// `-rtp_echo`
    pub echo: bool,
    /// `-timeout`
    pub timeout: Option<Duration>,
    /// `-timeout_error`
    pub timeout_error: bool,
    /// `-recv_timeout`
    pub receive_timeout: Option<Duration>,
    /// `-aa`
    pub auto_answer: bool,
    /// `-nd` unset.
    pub defaults: bool,
    /// `-nr` unset.
    pub retransmit: bool,
    /// `-max_retrans`, `-max_invite_retrans`
    pub most_invite: u32,
    /// `-max_retrans`, `-max_non_invite_retrans`
    pub most_other: u32,
    /// `-T2`
    pub t2: Duration,
    /// `-base_cseq`
    pub base_cseq: u32,
    /// `-cid_str`
    pub call_id: String,
    /// `-bg`
    pub background: bool,
    /// `-trace_stat`
    pub trace_stat: bool,
    /// `-trace_err`
    pub trace_err: bool,
    /// `-trace_msg`
    pub trace_msg: bool,
    /// `-trace_logs`
    pub trace_logs: bool,
    /// `-trace_screen`
    pub trace_screen: bool,
    /// `-stf`
    pub stat_file: Option<PathBuf>,
    /// `-error_file`
    pub error_file: Option<PathBuf>,
    /// `-message_file`
    pub message_file: Option<PathBuf>,
    /// `-log_file`
    pub log_file: Option<PathBuf>,
    /// `-screen_file`
    pub screen_file: Option<PathBuf>,
    /// `-stat_delimiter`
    pub delimiter: String,
    /// `-fd`
    pub stat_every: Duration,
    /// `-f`
    pub show_every: Duration,
    /// `--shards`
    pub shards: Option<u16>,
    /// `--ports`
    pub ports: u8,
    /// `--cores`
    pub cores: Option<Vec<usize>>,
    /// `--register`
    pub register: Option<u32>,
    /// `--user-prefix`, `--user-first`, `--password`
    pub user_prefix: String,
    /// The number of the first user.
    pub user_first: u64,
    /// Their password.
    pub password: String,
    /// `--expires`
    pub expires: u32,
    /// `--rtp-ports`
    pub rtp_ports: Option<Ports>,
    /// `--xdp`
    pub xdp: Option<String>,
    /// `--json`
    pub json: Option<PathBuf>,
    /// `--hgrm`
    pub hgrm: Option<PathBuf>,
    /// `--seed`
    pub seed: u64,
    /// `--i-own-the-target`
    pub owned: bool,
    /// `--quiet`
    pub quiet: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            remote: None,
            scenario_file: None,
            scenario_name: None,
            dump: None,
            most_calls: None,
            port: None,
            address: None,
            service: "service".into(),
            transport: Transport::Udp,
            rate: 10.0,
            period: Duration::from_secs(1),
            limit: None,
            pause: Duration::ZERO,
            users: None,
            third_party: None,
            rate_increase: None,
            rate_max: None,
            rate_interval: None,
            no_rate_quit: false,
            files: Vec::new(),
            indexes: Vec::new(),
            auth_user: None,
            auth_password: "password".into(),
            keys: Vec::new(),
            sets: Vec::new(),
            media_address: None,
            media_port: 6000,
            echo: false,
            timeout: None,
            timeout_error: false,
            receive_timeout: None,
            auto_answer: false,
            defaults: true,
            retransmit: true,
            most_invite: 5,
            most_other: 7,
            t2: Duration::from_secs(4),
            base_cseq: 1,
            call_id: "%u-%p@%s".into(),
            background: false,
            trace_stat: false,
            trace_err: false,
            trace_msg: false,
            trace_logs: false,
            trace_screen: false,
            stat_file: None,
            error_file: None,
            message_file: None,
            log_file: None,
            screen_file: None,
            delimiter: ";".into(),
            stat_every: Duration::from_secs(60),
            show_every: Duration::from_secs(1),
            shards: None,
            ports: 1,
            cores: None,
            register: None,
            user_prefix: "u".into(),
            user_first: 1,
            password: "secret".into(),
            expires: 3600,
            rtp_ports: None,
            xdp: None,
            json: None,
            hgrm: None,
            seed: 1,
            owned: false,
            quiet: false,
        }
    }
}

impl Options {
    /// Calls a second.
    #[must_use]
    pub fn calls_per_second(&self) -> f64 {
        self.rate / self.period.as_secs_f64().max(0.001)
    }
}
