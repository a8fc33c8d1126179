//! REGISTER and digest credentials.

use super::{DOMAIN, EndpointCx, Phone, SERVER, Text, text};
use md5::Digest as _;

/// What the phone knows of its registration.
#[derive(Default)]
pub struct Register {
    call_id: String,
    cseq: u32,
    /// What was asked for: Contact and further lines.
    wish: String,
    tried: bool,
    /// The final answer of the last REGISTER but challenges.
    pub last: Option<Text>,
    /// Final statuses, challenges included.
    pub statuses: Vec<u16>,
    /// The credentials sent last: header line.
    pub credentials: String,
}

impl Phone {
    /// Registers its one contact.
    pub fn register(&mut self, cx: &mut EndpointCx<'_>, expires: u32) {
        let q = self.habits.q.map_or(String::new(), |q| format!(";q={q}"));
        let wish = format!("Contact: {}{q}\nExpires: {expires}\n", self.contact());
        self.send_register(cx, wish, "");
    }

    /// A REGISTER with other Contact lines; `credentials` go with the first try.
    pub fn send_register(&mut self, cx: &mut EndpointCx<'_>, wish: String, credentials: &str) {
        if self.register.call_id.is_empty() {
            self.register.call_id = (self.mint)(&format!("reg-{}-{}-", self.name, self.number()), cx.random());
        }
        self.register.wish = wish;
        self.register.tried = !credentials.is_empty();
        self.register.last = None;
        self.register_again(cx, credentials);
    }

    /// Sends the last REGISTER once more, octet for octet, as one does that heard no answer.
    pub fn repeat_register(&mut self, cx: &mut EndpointCx<'_>) {
        if let Some(sent) = self.sent.iter().rfind(|sent| sent.method == "REGISTER") {
            let octets = sent.octets.clone();
            self.emit(cx, SERVER, &octets);
        }
    }

    fn register_again(&mut self, cx: &mut EndpointCx<'_>, credentials: &str) {
        self.register.cseq += 1;
        self.register.credentials = credentials.to_owned();
        let aor = format!("sip:{}@{DOMAIN}", self.name);
        let head = format!(
            "sip:{DOMAIN}\nFrom: <{aor}>;tag=r{:x}\nTo: <{aor}>\nCall-ID: {}\nCSeq: {} REGISTER\n{}{credentials}",
            cx.random() & 0xffff,
            self.register.call_id,
            self.register.cseq,
            self.register.wish
        );
        self.send(cx, "REGISTER", SERVER, None, &head, "");
    }

    pub(super) fn registered(&mut self, cx: &mut EndpointCx<'_>, response: &Text) {
        let status = response.status();
        if response.cseq() != self.register.cseq || status < 200 {
            return;
        }
        self.register.statuses.push(status);
        if status == 401 && !self.register.tried {
            self.register.tried = true;
            let uri = format!("sip:{DOMAIN}");
            let credentials = self.credentials(cx, response, "REGISTER", &uri);
            return self.register_again(cx, &credentials);
        }
        self.register.last = Some(response.clone());
    }

    /// The status of the last REGISTER, 0 while there is none.
    #[must_use]
    pub fn register_status(&self) -> u16 {
        self.register.last.as_ref().map_or(0, Text::status)
    }

    /// Seconds that the last REGISTER was granted; 0 while there is no answer.
    #[must_use]
    pub fn granted(&self) -> u32 {
        let own = self.contact();
        let last = self.register.last.as_ref().filter(|last| last.status() == 200);
        let contact = last.and_then(|last| last.all("contact").find(|contact| contact.contains(&own)));
        let expires = contact.and_then(|contact| text::parameter(contact, "expires"));
        expires.and_then(|expires| expires.parse().ok()).unwrap_or(0)
    }

    /// The credentials line for a challenge.
    pub(super) fn credentials(&self, cx: &mut EndpointCx<'_>, response: &Text, method: &str, uri: &str) -> String {
        let (header, line) = match response.status() {
            401 => ("www-authenticate", "Authorization"),
            _ => ("proxy-authenticate", "Proxy-Authorization"),
        };
        let wanted = if self.habits.sha256 { "SHA-256" } else { "MD5" };
        let known = response
            .all(header)
            .find(|value| text::challenge(value, "algorithm") == wanted);
        // The network may have changed it; then there is nothing to answer.
        let Some(challenge) = known else {
            return String::new();
        };
        let realm = text::challenge(challenge, "realm");
        let nonce = text::challenge(challenge, "nonce");
        let cnonce = format!("{:08x}", cx.random() as u32);
        let hash = |text: String| {
            if self.habits.sha256 {
                hex(&sha2::Sha256::digest(text))
            } else {
                hex(&md5::Md5::digest(text))
            }
        };
        let ha1 = hash(format!("{}:{realm}:{}", self.name, self.password));
        let ha2 = hash(format!("{method}:{uri}"));
        let proof = hash(format!("{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}"));
        format!(
            "{line}: Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm={wanted}, \
             qop=auth, nc=00000001, cnonce=\"{cnonce}\", response=\"{proof}\"\n",
            self.name
        )
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
