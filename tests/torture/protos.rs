//! The cases of PROTOS c07-sip as files: packets back to back, with places to fill.

/// Cases of one file: `<decimal length><SP><octets>`, back to back.
fn packets(mut file: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    while let Some(space) = file.iter().position(|&octet| octet == b' ') {
        let Some(length) = std::str::from_utf8(&file[..space])
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok())
        else {
            break;
        };
        let end = (space + 1 + length).min(file.len());
        packets.push(&file[space + 1..end]);
        file = &file[end..];
    }
    packets
}

/// Replaces every occurrence.
pub fn replace(bytes: &[u8], tag: &str, with: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, tag.as_bytes()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with.as_bytes());
        rest = &rest[at + tag.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The packets of one case, ready to be sent: the INVITE, then its end.
pub fn filled(file: &[u8], case: usize, to: &str, address: &str) -> Vec<Vec<u8>> {
    let mut branch = case * 2;
    let fill = |packet: &[u8]| {
        branch += 1;
        let mut filled = packet.to_vec();
        for (tag, with) in [
            ("<To>", to),
            ("<From>", "alice@example.com"),
            ("<From-Address>", address),
            ("<From-IP>", address),
            ("<Local-Port>", "5060"),
            ("<Branch-ID>", &format!("{branch:06}")),
            ("<Call-ID>", &case.to_string()),
            ("<CSeq>", "1"),
            ("<Teardown-Method>", "CANCEL"),
        ] {
            filled = replace(&filled, tag, with);
        }
        let head = memchr::memmem::find(&filled, b"\r\n\r\n").map_or(filled.len(), |at| at + 4);
        let body = filled.len() - head;
        replace(&filled, "<Content-Length>", &body.to_string())
    };
    packets(file).into_iter().map(fill).collect()
}
