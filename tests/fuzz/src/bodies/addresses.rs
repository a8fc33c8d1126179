//! URIs, Via and addresses: what was read can be written from its parts, and reads the same again.

use super::message::show;
use ringfort::protocol::sip::{NameAddr, Scheme, Uri, Via, params};

pub(super) fn uri(octets: &[u8]) {
    let Ok(uri) = Uri::parse(octets) else { return };
    let written = text(&uri);
    let again = Uri::parse(&written).unwrap_or_else(|fault| panic!("{fault:?}: {}", show(&written)));
    assert_eq!(again, uri, "{}", show(&written));
    assert_eq!(again.host_ip(), uri.host_ip());
    // Section 19.1.1: no parameter stands twice. Of one that does, the first counts.
    if !repeats(uri.params) {
        assert!(uri.equivalent(&again), "RFC 3261 section 19.1.4: {}", show(octets));
        assert!(again.equivalent(&uri));
    }
    let mut decoded = Vec::new();
    uri.write_user_decoded(&mut decoded);
    assert!(decoded.len() <= uri.user.len());
    one_spelling(&uri);
}

/// The address of record of an address of record is itself.
fn one_spelling(uri: &Uri<'_>) {
    let (mut aor, mut again) = (Vec::new(), Vec::new());
    uri.write_aor(&mut aor);
    let prefix: &[u8] = match uri.scheme {
        Scheme::Sip | Scheme::Sips => b"sip:",
        Scheme::Tel => b"tel:",
        Scheme::Other => return,
    };
    let whole = [prefix, &aor].concat();
    // A number of separators alone has no spelling.
    if let Ok(uri) = Uri::parse(&whole) {
        uri.write_aor(&mut again);
        assert_eq!(aor, again, "RFC 3261 section 10.3: {}", show(&whole));
    } else {
        assert_eq!((uri.scheme, aor.len()), (Scheme::Tel, 0), "{}", show(&whole));
    }
}

fn repeats(raw: &[u8]) -> bool {
    let name = |(name, _): (&[u8], Option<&[u8]>)| name.to_ascii_lowercase();
    let mut names: Vec<_> = params(raw).map(name).collect();
    names.sort();
    names.windows(2).any(|pair| pair[0] == pair[1]) || raw.contains(&b'%')
}

fn text(uri: &Uri<'_>) -> Vec<u8> {
    let mut out = match uri.scheme {
        Scheme::Sip => b"SIP:".to_vec(),
        Scheme::Sips => b"sips:".to_vec(),
        Scheme::Tel => [b"tel:", uri.user, uri.params].concat(),
        Scheme::Other => [b"x:", uri.host].concat(),
    };
    if matches!(uri.scheme, Scheme::Tel | Scheme::Other) {
        return out;
    }
    if !uri.user.is_empty() {
        out.extend(uri.user);
        if !uri.password.is_empty() {
            out.extend([b":", uri.password].concat());
        }
        out.push(b'@');
    }
    out.extend(uri.host);
    if let Some(port) = uri.port {
        out.extend(format!(":{port}").as_bytes());
    }
    out.extend(uri.params);
    if !uri.headers.is_empty() {
        out.extend([b"?", uri.headers].concat());
    }
    out
}

pub(super) fn via(octets: &[u8]) {
    let Ok(via) = Via::parse(octets) else { return };
    let mut out = [b"SIP/2.0/", via.transport, b" ", via.host].concat();
    if let Some(port) = via.port {
        out.extend(format!(":{port}").as_bytes());
    }
    if let Some(branch) = via.branch {
        out.extend([b";branch=\"", branch, b"\""].concat());
    }
    match via.rport {
        Some(Some(port)) => out.extend(format!(";rport={port}").as_bytes()),
        Some(None) => out.extend(b";rport"),
        None => {}
    }
    if let Some(received) = via.received {
        out.extend(format!(";received={received}").as_bytes());
    }
    if let Some(maddr) = via.maddr {
        out.extend([b";maddr=\"", maddr, b"\""].concat());
    }
    // A backslash in a value that had no quotes would mean something else in quotes.
    if [via.branch, via.maddr]
        .into_iter()
        .flatten()
        .any(|value| value.contains(&b'\\'))
    {
        return;
    }
    let again = Via::parse(&out).unwrap_or_else(|fault| panic!("{fault:?}: {}", show(&out)));
    assert_eq!(Via { raw: via.raw, ..again }, via, "{}", show(&out));
    assert_eq!(again.reply_to(), via.reply_to());
}

pub(super) fn name_addr(octets: &[u8]) {
    let Ok(address) = NameAddr::parse(octets) else { return };
    let mut out = Vec::new();
    if !address.display.is_empty() {
        out.extend([b"\"", address.display, b"\" "].concat());
    }
    out.extend([b"<", address.uri, b">", address.params].concat());
    let again = NameAddr::parse(&out).unwrap_or_else(|fault| panic!("{fault:?}: {}", show(&out)));
    assert_eq!(again, address, "{}", show(&out));
    assert_eq!(again.param("tag"), address.param("tag"));
    assert!(
        params(address.params)
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"tag"))
            .count()
            < 2
    );
    let _ = Uri::parse(address.uri).map(|uri| uri.host_ip());
}
