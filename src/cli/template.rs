//! The configuration that `ringfort init` writes.

/// What the template is filled with.
pub(super) struct Host<'a> {
    /// An address that phones reach.
    pub(super) address: &'a str,
    /// The registrar's domain.
    pub(super) domain: &'a str,
    pub(super) cores: usize,
    pub(super) password: &'a str,
}

/// A commented file that passes `ringfort check`.
pub(super) fn fill(host: &Host<'_>) -> String {
    let Host {
        address,
        domain,
        cores,
        password,
    } = host;
    format!(
        r##"# Ringfort's configuration. `ringfort check --config FILE` says what is wrong with it.
# A key that is commented out shows its default.

[sip]
# Where phones and gateways reach us: udp: and tcp:, IPv6 in brackets. Behind static NAT a table
# says what peers are shown:
#   {{ address = "udp:10.0.0.5:5060", advertise = "192.0.2.1", media = ["10.0.0.5"] }}
listen = ["udp:{address}:5060", "tcp:{address}:5060"]
# What we are the registrar of; each is a realm.
domains = ["{domain}", "{address}"]
# Digest algorithms offered, in this order; a user may override.
# digest = ["sha-256", "md5"]
# follow_redirects = true
# session_expires = 1800
# timers = {{ t1_ms = 500, t2_ms = 4000, t4_ms = 5000, c_seconds = 181 }}

[media]
# The address that SDP shows; a list multiplies the ports. With static NAT, `advertise` is what SDP shows instead.
address = "{address}"
# RTP and RTCP, split over the shards. A relayed call takes 4. Open them in the firewall (UDP).
ports = "20000-39999"
# A call whose audio is silent in both directions for this long is ended.
# timeout_seconds = 60
# quarantine_seconds = 2
# "nat": a phone behind NAT is heard where its audio comes from, once, if its signalling comes from
# the same address. "never": only where its SDP says.
# learn = "nat"
# Network devices, such as ["eth0"], where RTP goes past the kernel's IP stack (AF_XDP): half the cost of a packet.
# Needs root, or CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF.
# xdp = []

[http]
# Web page, REST, /metrics. Keep it off the telephones' network.
listen = "127.0.0.1:8080"
# token_file = "token"

[shards]
# One for each core.
count = {cores}

[limits]
# calls = 20000
# registrations = 200000
# transactions = 1000000
# contacts = 10
# connections = 10000
# call_hours = 12
# drain_seconds = 10

[registrar]
# min_expires = 60
# max_expires = 3600
# default_expires = 3600
# keep_alive_seconds = 30

[local]
# Calls between our users: "b2bua" with media "relay" or "direct"; "proxy"; "redirect".
# mode = "b2bua"
# media = "relay"

[emergency]
# Never shed. `trunks` are tried in order; without them the first route that matches.
# numbers = ["911", "112", "999"]
# trunks = ["carrier"]

[services]
# false switches one off.
# echo = "9196"
# music = "9664"

[[user]]
name = "1001"
password = "{password}"
# display = "Reception"
# digest = ["sha-256"]

# [[trunk]]
# name = "carrier"
# targets = ["udp:192.0.2.10:5060"]       # in order
# trusted = ["192.0.2.10/32"]             # calls from here need no digest

# First match wins; users of our domains are found before routes.
# [[route]]
# match = "^0[0-9]{{4,15}}$"
# to = ["trunk:carrier"]
# mode = "b2bua"                          # proxy | b2bua | redirect
# media = "relay"                         # relay | direct
# auth = "digest"                         # digest | trusted | open
"##
    )
}
