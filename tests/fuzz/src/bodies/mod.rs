//! The bodies of the fuzz targets: each takes any octets and asserts what must hold for them. They
//! run under a fuzzer (`tools/fuzz`) and, over seeds and regressions, as an ordinary test
//! (`tests/fuzz_replay.rs`), so that they need nothing of a fuzzer.

mod addresses;
mod appliance;
mod config;
mod description;
mod digest;
mod header;
mod media;
mod message;
pub mod oracle;
mod stream;

/// A target: its name, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target that needs no further oracle. The name is that of the file in `fuzz_targets`, of
/// the folder in `regressions` and of the one in `seeds`.
pub const TARGETS: [Target; 18] = [
    ("message", message::message),
    ("stream", stream::stream),
    ("uri", addresses::uri),
    ("via", addresses::via),
    ("name_addr", addresses::name_addr),
    ("cseq", header::cseq),
    ("route", header::route),
    ("session_expires", header::session_expires),
    ("header", header::header),
    ("credentials", digest::credentials),
    ("challenge", digest::challenge),
    ("nonce", digest::nonce),
    ("sdp", description::sdp),
    ("offer_answer", media::offer_answer),
    ("rtp", media::rtp),
    ("rtcp", media::rtcp),
    ("config", config::config),
    ("oracle_rsip", oracle::rsip),
];

/// The slowest: a whole appliance each time.
pub const APPLIANCE: Target = ("appliance", appliance::appliance);
