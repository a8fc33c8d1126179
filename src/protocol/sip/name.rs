//! Header names: recognised by length and a comparison that ignores case, without hashing.

/// A header field name that the appliance knows, whatever its spelling in the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // each is the header of that name
pub enum Name {
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    MaxForwards,
    Route,
    RecordRoute,
    ContentLength,
    ContentType,
    Expires,
    MinExpires,
    Authorization,
    ProxyAuthorization,
    WwwAuthenticate,
    ProxyAuthenticate,
    Require,
    ProxyRequire,
    Supported,
    Unsupported,
    Allow,
    Accept,
    SessionExpires,
    MinSe,
    Path,
    Timestamp,
    UserAgent,
    Server,
    RetryAfter,
    ReferTo,
    ReferredBy,
    Replaces,
    Event,
    AllowEvents,
    SubscriptionState,
    RSeq,
    RAck,
    PAssertedIdentity,
    PPreferredIdentity,
    RemotePartyId,
    Privacy,
    Diversion,
    HistoryInfo,
    Identity,
    Date,
    Subject,
    Warning,
    Reason,
    Geolocation,
    MaxBreadth,
    ServiceRoute,
    AlertInfo,
    CallInfo,
    ContentEncoding,
    ContentDisposition,
    AcceptContact,
    RejectContact,
    RequestDisposition,
    IdentityInfo,
    /// Any other; compare `Line::name_text`.
    Other,
}

impl Name {
    /// How many variants there are.
    pub(super) const COUNT: usize = Name::Other as usize + 1;

    /// The header that a name in any case, long or compact, stands for.
    #[must_use]
    pub fn of(text: &[u8]) -> Name {
        if let [letter] = text {
            return Name::compact(letter.to_ascii_lowercase());
        }
        let Some(first) = text.first().map(u8::to_ascii_lowercase) else {
            return Name::Other;
        };
        let candidates: &[Name] = match (text.len(), first) {
            (2, b't') => &[Name::To],
            (3, b'v') => &[Name::Via],
            (4, b'c') => &[Name::CSeq],
            (4, b'd') => &[Name::Date],
            (4, b'f') => &[Name::From],
            (4, b'p') => &[Name::Path],
            (4, b'r') => &[Name::RSeq, Name::RAck],
            (5, b'a') => &[Name::Allow],
            (5, b'e') => &[Name::Event],
            (5, b'r') => &[Name::Route],
            (6, b'a') => &[Name::Accept],
            (6, b'm') => &[Name::MinSe],
            (6, b'r') => &[Name::Reason],
            (6, b's') => &[Name::Server],
            (7, b'c') => &[Name::CallId, Name::Contact],
            (7, b'e') => &[Name::Expires],
            (7, b'p') => &[Name::Privacy],
            (7, b'r') => &[Name::Require],
            (7, b's') => &[Name::Subject],
            (7, b'w') => &[Name::Warning],
            (8, b'i') => &[Name::Identity],
            (8, b'r') => &[Name::ReferTo, Name::Replaces],
            (9, b'c') => &[Name::CallInfo],
            (9, b'd') => &[Name::Diversion],
            (9, b's') => &[Name::Supported],
            (9, b't') => &[Name::Timestamp],
            (10, b'a') => &[Name::AlertInfo],
            (10, b'u') => &[Name::UserAgent],
            (11, b'g') => &[Name::Geolocation],
            (11, b'm') => &[Name::MinExpires, Name::MaxBreadth],
            (11, b'r') => &[Name::RetryAfter, Name::ReferredBy],
            (11, b'u') => &[Name::Unsupported],
            (12, b'a') => &[Name::AllowEvents],
            (12, b'c') => &[Name::ContentType],
            (12, b'h') => &[Name::HistoryInfo],
            (12, b'm') => &[Name::MaxForwards],
            (12, b'r') => &[Name::RecordRoute],
            (13, b'a') => &[Name::Authorization],
            (13, b'i') => &[Name::IdentityInfo],
            (13, b'p') => &[Name::ProxyRequire],
            (13, b's') => &[Name::ServiceRoute],
            (14, b'a') => &[Name::AcceptContact],
            (14, b'c') => &[Name::ContentLength],
            (14, b'r') => &[Name::RejectContact],
            (15, b'r') => &[Name::RemotePartyId],
            (15, b's') => &[Name::SessionExpires],
            (16, b'c') => &[Name::ContentEncoding],
            (16, b'w') => &[Name::WwwAuthenticate],
            (18, b'p') => &[Name::ProxyAuthenticate],
            (18, b's') => &[Name::SubscriptionState],
            (19, b'c') => &[Name::ContentDisposition],
            (19, b'p') => &[Name::ProxyAuthorization, Name::PAssertedIdentity],
            (19, b'r') => &[Name::RequestDisposition],
            (20, b'p') => &[Name::PPreferredIdentity],
            _ => return Name::Other,
        };
        // Nearly everybody writes the canonical form, and comparing that is much faster.
        let canonical = |name: &&Name| text == name.text().as_bytes();
        let any_case = |name: &&Name| text.eq_ignore_ascii_case(name.text().as_bytes());
        candidates
            .iter()
            .find(canonical)
            .or_else(|| candidates.iter().find(any_case))
            .copied()
            .unwrap_or(Name::Other)
    }

    /// The long form, as written by the appliance; empty for [`Name::Other`].
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Name::Via => "Via",
            Name::From => "From",
            Name::To => "To",
            Name::CallId => "Call-ID",
            Name::CSeq => "CSeq",
            Name::Contact => "Contact",
            Name::MaxForwards => "Max-Forwards",
            Name::Route => "Route",
            Name::RecordRoute => "Record-Route",
            Name::ContentLength => "Content-Length",
            Name::ContentType => "Content-Type",
            Name::Expires => "Expires",
            Name::MinExpires => "Min-Expires",
            Name::Authorization => "Authorization",
            Name::ProxyAuthorization => "Proxy-Authorization",
            Name::WwwAuthenticate => "WWW-Authenticate",
            Name::ProxyAuthenticate => "Proxy-Authenticate",
            Name::Require => "Require",
            Name::ProxyRequire => "Proxy-Require",
            Name::Supported => "Supported",
            Name::Unsupported => "Unsupported",
            Name::Allow => "Allow",
            Name::Accept => "Accept",
            Name::SessionExpires => "Session-Expires",
            Name::MinSe => "Min-SE",
            Name::Path => "Path",
            Name::Timestamp => "Timestamp",
            Name::UserAgent => "User-Agent",
            Name::Server => "Server",
            Name::RetryAfter => "Retry-After",
            Name::ReferTo => "Refer-To",
            Name::ReferredBy => "Referred-By",
            Name::Replaces => "Replaces",
            Name::Event => "Event",
            Name::AllowEvents => "Allow-Events",
            Name::SubscriptionState => "Subscription-State",
            Name::RSeq => "RSeq",
            Name::RAck => "RAck",
            Name::PAssertedIdentity => "P-Asserted-Identity",
            Name::PPreferredIdentity => "P-Preferred-Identity",
            Name::RemotePartyId => "Remote-Party-ID",
            Name::Privacy => "Privacy",
            Name::Diversion => "Diversion",
            Name::HistoryInfo => "History-Info",
            Name::Identity => "Identity",
            Name::Date => "Date",
            Name::Subject => "Subject",
            Name::Warning => "Warning",
            Name::Reason => "Reason",
            Name::Geolocation => "Geolocation",
            Name::MaxBreadth => "Max-Breadth",
            Name::ServiceRoute => "Service-Route",
            Name::AlertInfo => "Alert-Info",
            Name::CallInfo => "Call-Info",
            Name::ContentEncoding => "Content-Encoding",
            Name::ContentDisposition => "Content-Disposition",
            Name::AcceptContact => "Accept-Contact",
            Name::RejectContact => "Reject-Contact",
            Name::RequestDisposition => "Request-Disposition",
            Name::IdentityInfo => "Identity-Info",
            Name::Other => "",
        }
    }

    /// One-letter forms: RFC 3261 section 7.3.3 and the extensions' own.
    const fn compact(letter: u8) -> Name {
        match letter {
            b'a' => Name::AcceptContact,
            b'b' => Name::ReferredBy,
            b'c' => Name::ContentType,
            b'd' => Name::RequestDisposition,
            b'e' => Name::ContentEncoding,
            b'f' => Name::From,
            b'i' => Name::CallId,
            b'j' => Name::RejectContact,
            b'k' => Name::Supported,
            b'l' => Name::ContentLength,
            b'm' => Name::Contact,
            b'n' => Name::IdentityInfo,
            b'o' => Name::Event,
            b'r' => Name::ReferTo,
            b's' => Name::Subject,
            b't' => Name::To,
            b'u' => Name::AllowEvents,
            b'v' => Name::Via,
            b'x' => Name::SessionExpires,
            b'y' => Name::Identity,
            _ => Name::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_compact_names_in_any_case() {
        assert_eq!(Name::of(b"cAlL-iD"), Name::CallId);
        assert_eq!(Name::of(b"I"), Name::CallId);
        assert_eq!(Name::of(b"l"), Name::ContentLength);
        assert_eq!(Name::of(b"WWW-Authenticate"), Name::WwwAuthenticate);
        assert_eq!(Name::of(b"X-Thing"), Name::Other);
        assert_eq!(Name::of(b""), Name::Other);
        assert_eq!(Name::of(b"z"), Name::Other);
    }

    #[test]
    fn every_name_is_found_by_its_long_form() {
        for text in LONG_FORMS {
            let name = Name::of(text.as_bytes());
            assert_eq!(name.text(), text);
            assert_eq!(Name::of(text.to_uppercase().as_bytes()), name);
            assert_eq!(Name::of(format!("{text}x").as_bytes()), Name::Other);
        }
        assert_eq!(LONG_FORMS.len(), Name::COUNT - 1);
    }

    const LONG_FORMS: [&str; Name::COUNT - 1] = [
        "To",
        "Via",
        "From",
        "CSeq",
        "Path",
        "RSeq",
        "RAck",
        "Date",
        "Route",
        "Allow",
        "Event",
        "Accept",
        "Min-SE",
        "Server",
        "Reason",
        "Call-ID",
        "Contact",
        "Expires",
        "Require",
        "Privacy",
        "Subject",
        "Warning",
        "Refer-To",
        "Replaces",
        "Identity",
        "Supported",
        "Timestamp",
        "Diversion",
        "Call-Info",
        "User-Agent",
        "Alert-Info",
        "Min-Expires",
        "Unsupported",
        "Retry-After",
        "Referred-By",
        "Geolocation",
        "Max-Breadth",
        "Max-Forwards",
        "Record-Route",
        "Content-Type",
        "Allow-Events",
        "History-Info",
        "Authorization",
        "Proxy-Require",
        "Service-Route",
        "Identity-Info",
        "Content-Length",
        "Accept-Contact",
        "Reject-Contact",
        "Session-Expires",
        "Remote-Party-ID",
        "WWW-Authenticate",
        "Content-Encoding",
        "Proxy-Authenticate",
        "Subscription-State",
        "Proxy-Authorization",
        "P-Asserted-Identity",
        "Content-Disposition",
        "Request-Disposition",
        "P-Preferred-Identity",
    ];

    #[test]
    fn the_long_form_of_each_compact_letter_is_known() {
        let mut letters = 0;
        for letter in b'a'..=b'z' {
            let name = Name::compact(letter);
            if name != Name::Other {
                letters += 1;
                assert_eq!(Name::of(name.text().as_bytes()), name);
            }
        }
        assert_eq!(letters, 20);
    }
}
