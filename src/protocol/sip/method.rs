//! Methods: RFC 3261 and the extensions that the appliance knows.

/// A request method.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Method {
    /// RFC 3261 section 13.
    Invite,
    /// RFC 3261 section 13.
    Ack,
    /// RFC 3261 section 15.
    Bye,
    /// RFC 3261 section 9.
    Cancel,
    /// RFC 3261 section 10.
    Register,
    /// RFC 3261 section 11.
    Options,
    /// RFC 6086.
    Info,
    /// RFC 3262.
    Prack,
    /// RFC 3311.
    Update,
    /// RFC 6665.
    Subscribe,
    /// RFC 6665.
    Notify,
    /// RFC 3428.
    Message,
    /// RFC 3515.
    Refer,
    /// RFC 3903.
    Publish,
    /// Any other token.
    Other,
}

impl Method {
    /// All known methods.
    pub const KNOWN: [Method; 14] = [
        Method::Invite,
        Method::Ack,
        Method::Bye,
        Method::Cancel,
        Method::Register,
        Method::Options,
        Method::Info,
        Method::Prack,
        Method::Update,
        Method::Subscribe,
        Method::Notify,
        Method::Message,
        Method::Refer,
        Method::Publish,
    ];

    /// The method of a token; methods are case-sensitive (RFC 3261 section 7.1).
    #[must_use]
    pub fn of(token: &[u8]) -> Method {
        match token {
            b"INVITE" => Method::Invite,
            b"ACK" => Method::Ack,
            b"BYE" => Method::Bye,
            b"CANCEL" => Method::Cancel,
            b"REGISTER" => Method::Register,
            b"OPTIONS" => Method::Options,
            b"INFO" => Method::Info,
            b"PRACK" => Method::Prack,
            b"UPDATE" => Method::Update,
            b"SUBSCRIBE" => Method::Subscribe,
            b"NOTIFY" => Method::Notify,
            b"MESSAGE" => Method::Message,
            b"REFER" => Method::Refer,
            b"PUBLISH" => Method::Publish,
            _ => Method::Other,
        }
    }

    /// The token; empty for [`Method::Other`], whose text only the message knows.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Register => "REGISTER",
            Method::Options => "OPTIONS",
            Method::Info => "INFO",
            Method::Prack => "PRACK",
            Method::Update => "UPDATE",
            Method::Subscribe => "SUBSCRIBE",
            Method::Notify => "NOTIFY",
            Method::Message => "MESSAGE",
            Method::Refer => "REFER",
            Method::Publish => "PUBLISH",
            Method::Other => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_method_is_found_by_its_text() {
        for method in Method::KNOWN {
            assert_eq!(Method::of(method.text().as_bytes()), method);
        }
        assert_eq!(Method::of(b"invite"), Method::Other);
        assert_eq!(Method::of(b""), Method::Other);
    }
}
