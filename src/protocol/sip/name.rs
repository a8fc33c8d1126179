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
        let candidates: &[(Name, &str)] = match text.len() {
            2 => &[(Name::To, "To")],
            3 => &[(Name::Via, "Via")],
            4 => &[
                (Name::From, "From"),
                (Name::CSeq, "CSeq"),
                (Name::Path, "Path"),
                (Name::RSeq, "RSeq"),
                (Name::RAck, "RAck"),
                (Name::Date, "Date"),
            ],
            5 => &[(Name::Route, "Route"), (Name::Allow, "Allow"), (Name::Event, "Event")],
            6 => &[
                (Name::Accept, "Accept"),
                (Name::MinSe, "Min-SE"),
                (Name::Server, "Server"),
                (Name::Reason, "Reason"),
            ],
            7 => &[
                (Name::CallId, "Call-ID"),
                (Name::Contact, "Contact"),
                (Name::Expires, "Expires"),
                (Name::Require, "Require"),
                (Name::Privacy, "Privacy"),
                (Name::Subject, "Subject"),
                (Name::Warning, "Warning"),
            ],
            8 => &[
                (Name::ReferTo, "Refer-To"),
                (Name::Replaces, "Replaces"),
                (Name::Identity, "Identity"),
            ],
            9 => &[
                (Name::Supported, "Supported"),
                (Name::Timestamp, "Timestamp"),
                (Name::Diversion, "Diversion"),
                (Name::CallInfo, "Call-Info"),
            ],
            10 => &[(Name::UserAgent, "User-Agent"), (Name::AlertInfo, "Alert-Info")],
            11 => &[
                (Name::MinExpires, "Min-Expires"),
                (Name::Unsupported, "Unsupported"),
                (Name::RetryAfter, "Retry-After"),
                (Name::ReferredBy, "Referred-By"),
                (Name::Geolocation, "Geolocation"),
                (Name::MaxBreadth, "Max-Breadth"),
            ],
            12 => &[
                (Name::MaxForwards, "Max-Forwards"),
                (Name::RecordRoute, "Record-Route"),
                (Name::ContentType, "Content-Type"),
                (Name::AllowEvents, "Allow-Events"),
                (Name::HistoryInfo, "History-Info"),
            ],
            13 => &[
                (Name::Authorization, "Authorization"),
                (Name::ProxyRequire, "Proxy-Require"),
                (Name::ServiceRoute, "Service-Route"),
                (Name::IdentityInfo, "Identity-Info"),
            ],
            14 => &[
                (Name::ContentLength, "Content-Length"),
                (Name::AcceptContact, "Accept-Contact"),
                (Name::RejectContact, "Reject-Contact"),
            ],
            15 => &[
                (Name::SessionExpires, "Session-Expires"),
                (Name::RemotePartyId, "Remote-Party-ID"),
            ],
            16 => &[
                (Name::WwwAuthenticate, "WWW-Authenticate"),
                (Name::ContentEncoding, "Content-Encoding"),
            ],
            18 => &[
                (Name::ProxyAuthenticate, "Proxy-Authenticate"),
                (Name::SubscriptionState, "Subscription-State"),
            ],
            19 => &[
                (Name::ProxyAuthorization, "Proxy-Authorization"),
                (Name::PAssertedIdentity, "P-Asserted-Identity"),
                (Name::ContentDisposition, "Content-Disposition"),
                (Name::RequestDisposition, "Request-Disposition"),
            ],
            20 => &[(Name::PPreferredIdentity, "P-Preferred-Identity")],
            _ => return Name::Other,
        };
        for (name, long) in candidates {
            if text.eq_ignore_ascii_case(long.as_bytes()) {
                return *name;
            }
        }
        Name::Other
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
