//! Scenarios that need no file: SIPp's names with the same messages, and our own for audio and registration.

/// Name, text, and what it is.
const ALL: &[(&str, &str, &str)] = &[
    (
        "uac",
        include_str!("builtin/uac.xml"),
        "a caller: INVITE, ACK, pause -d, BYE (the default)",
    ),
    (
        "uas",
        include_str!("builtin/uas.xml"),
        "a callee: rings, answers, waits for BYE",
    ),
    (
        "regexp",
        include_str!("builtin/regexp.xml"),
        "a caller that reads the answer by patterns",
    ),
    (
        "branchc",
        include_str!("builtin/branchc.xml"),
        "a phone that registers and calls, with branches",
    ),
    ("branchs", include_str!("builtin/branchs.xml"), "what branchc calls"),
    (
        "uac_pcap",
        include_str!("builtin/uac_pcap.xml"),
        "a caller that plays captures of A-law and DTMF",
    ),
    (
        "uac_audio",
        include_str!("builtin/uac_audio.xml"),
        "a caller with marked audio both ways for -d",
    ),
    (
        "uas_audio",
        include_str!("builtin/uas_audio.xml"),
        "a callee with marked audio both ways",
    ),
    (
        "register",
        include_str!("builtin/register.xml"),
        "registers user by user, with digest (see --register)",
    ),
];

/// The text of a built-in scenario.
#[must_use]
pub fn find(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, ..)| *known == name).map(|(_, text, _)| *text)
}

/// Names and what they are.
pub fn list() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALL.iter().map(|(name, _, what)| (*name, *what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Role, read};

    #[test]
    fn all_of_them_are_good() {
        for (name, text, _) in ALL.iter().filter(|(name, ..)| *name != "uac_pcap") {
            let scenario = read(name, text, &["expires".into()]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(scenario.name, *name);
            let is_server = matches!(*name, "uas" | "branchs" | "uas_audio");
            assert_eq!(scenario.role == Role::Server, is_server, "{name}");
        }
        let error = read("uac_pcap", find("uac_pcap").expect("there"), &[]).expect_err("the capture is not here");
        assert!(error.to_string().contains("g711a.pcap"), "{error}");
    }
}
