//! The client's half of the opening handshake: the request as bytes, and the check of what comes
//! back.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc6455#section-4.1> and, where that is stricter,
//! <https://websockets.spec.whatwg.org/#websocket-opening-handshake>.

use std::fmt;

use base64::Engine as _;
use rand::Rng as _;

use super::error::{HandshakeError, HeaderError, SubprotocolError};
use super::extension::ExtensionHeader;
use super::head::{HeadKind, HeadLimits, HeadReader, ResponseHead};
use super::headers::{Headers, Lookup, write_field};
use super::url::{WebSocketUrl, basic_authorization, without_query};
use super::{BASE64, VERSION, accept_value, check_subprotocols};

/// Headers that the handshake writes itself, and those that would give the request a body or end
/// the connection.
const RESERVED: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
];

/// Whether a caller may set header `name` on a handshake message.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// A client's handshake request.
///
/// ```
/// use we_net::handshake::{ClientHandshake, WebSocketUrl};
///
/// let url = WebSocketUrl::parse("ws://server.example.com/chat", None)?;
/// let handshake = ClientHandshake::new(&url).with_subprotocols(["chat", "superchat"])?.with_origin("http://example.com")?;
/// let request = handshake.request(); // write this to the server …
/// let mut reader = handshake.into_reader(); // … and hand what it answers to this
/// assert!(request.starts_with(b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"));
/// assert_eq!(reader.receive(b"HTTP/1.1 101 Swi")?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClientHandshake {
    resource: String,
    host: String,
    key: String,
    origin: Option<String>,
    subprotocols: Vec<String>,
    extensions: Vec<ExtensionHeader>,
    headers: Headers,
    /// Of the URL.
    credentials: Option<String>,
    limits: HeadLimits,
}

impl ClientHandshake {
    /// A request for `url` with a key drawn from the operating system's random numbers.
    ///
    /// User name and password of the URL are sent as `Authorization: Basic` at once: the browser's
    /// way, to wait for a 401, would cost a connection, and they go to no other host than the one
    /// that the URL names. An `Authorization` that is [added](Self::with_header) takes their place.
    pub fn new(url: &WebSocketUrl) -> Self {
        let mut nonce = [0; 16];
        rand::rng().fill_bytes(&mut nonce);
        Self {
            resource: url.resource_name(),
            host: url.host_header(),
            key: BASE64.encode(nonce),
            origin: None,
            subprotocols: Vec::new(),
            extensions: Vec::new(),
            headers: Headers::new(),
            credentials: basic_authorization(url.as_url()),
            limits: HeadLimits::default(),
        }
    }

    /// Uses `nonce` for the key instead of a random one, so that a test or a replay knows the
    /// bytes. A real connection must not: the key shows that the answer was made for this request
    /// and not by a cache.
    pub fn with_nonce(mut self, nonce: [u8; 16]) -> Self {
        self.key = BASE64.encode(nonce);
        self
    }

    /// Asks for `subprotocols`, the preferred one first. The connection then fails unless the
    /// server chooses one.
    pub fn with_subprotocols<S: Into<String>>(
        mut self,
        subprotocols: impl IntoIterator<Item = S>,
    ) -> Result<Self, SubprotocolError> {
        let subprotocols: Vec<String> = subprotocols.into_iter().map(Into::into).collect();
        check_subprotocols(&subprotocols)?;
        self.subprotocols = subprotocols;
        Ok(self)
    }

    /// Sends `Origin`: where the script that connects comes from, in its serialised form. Others
    /// need none.
    pub fn with_origin(mut self, origin: impl Into<String>) -> Result<Self, HeaderError> {
        let origin = origin.into();
        // Only the list's own rules are wanted here.
        Headers::new().append("Origin", &origin)?;
        self.origin = Some(origin);
        Ok(self)
    }

    /// Offers an extension; of several, the preferred one first.
    pub fn with_extension(mut self, offer: ExtensionHeader) -> Self {
        self.extensions.push(offer);
        self
    }

    /// Adds a header, such as `Cookie` or `Authorization`. Those that the handshake itself writes
    /// are refused.
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        if is_reserved(name) {
            return Err(HeaderError::Reserved(name.to_owned()));
        }
        self.headers.append(name, value)?;
        Ok(self)
    }

    /// Whether a header of that name has been added.
    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.values(name).next().is_some()
    }

    /// Adds a header unless one of that name is there.
    pub(crate) fn with_default_header(self, name: &str, value: &[u8]) -> Result<Self, HeaderError> {
        if self.has_header(name) {
            return Ok(self);
        }
        self.with_header(name, value)
    }

    /// What `Origin` says.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Sets how large the answer's head may be.
    pub fn with_limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The request as it goes over the wire.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc6455#section-4.1> (client requirements, 1 to 12)
    pub fn request(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let mut line = |parts: &[&str]| {
            for part in parts {
                out.extend_from_slice(part.as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        };
        line(&["GET ", &self.resource, " HTTP/1.1"]); // 2 and 3
        line(&["Host: ", &self.host]); // 4
        line(&["Upgrade: websocket"]); // 5
        line(&["Connection: Upgrade"]); // 6
        line(&["Sec-WebSocket-Key: ", &self.key]); // 7
        self.each_field(|name, value| write_field(&mut out, name, value));
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The fields that do not depend on the version of HTTP (8 to 12).
    pub(super) fn each_field(&self, mut write: impl FnMut(&str, &[u8])) {
        if let Some(origin) = &self.origin {
            write("Origin", origin.as_bytes()); // 8
        }
        write("Sec-WebSocket-Version", VERSION.as_bytes()); // 9
        if !self.subprotocols.is_empty() {
            let list = self.subprotocols.join(", ");
            write("Sec-WebSocket-Protocol", list.as_bytes()); // 10
        }
        if !self.extensions.is_empty() {
            let list = ExtensionHeader::format_list(&self.extensions);
            write("Sec-WebSocket-Extensions", list.as_bytes()); // 11
        }
        if let Some(credentials) = &self.credentials
            && self.headers.values("Authorization").next().is_none()
        {
            write("Authorization", credentials.as_bytes()); // 12
        }
        for field in self.headers.iter() {
            write(field.name(), field.value()); // 12
        }
    }

    /// Path and query.
    pub(super) fn resource(&self) -> &str {
        &self.resource
    }

    /// What `Host` says.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Turns to waiting for the server's answer.
    pub fn into_reader(self) -> ResponseReader {
        let head = HeadReader::new(HeadKind::Response, self.limits);
        ResponseReader {
            handshake: self,
            head,
            headers: None,
        }
    }
}

impl fmt::Debug for ClientHandshake {
    /// Shows no query, no credentials, and of the headers only the names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandshake")
            .field("host", &self.host)
            .field("resource", &without_query(&self.resource))
            .field("origin", &self.origin)
            .field("extensions", &self.extensions)
            .field("headers", &self.headers.names())
            .finish_non_exhaustive()
    }
}

/// What a server agreed to. From here on the connection speaks frames.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The subprotocol that the server chose: one of those asked for; `None` if none was asked for.
    pub subprotocol: Option<String>,
    /// The extensions in use, each of them offered before. Their parameters are not checked here.
    pub extensions: Vec<ExtensionHeader>,
    /// All headers of the answer.
    pub headers: Headers,
    /// Bytes that arrived after the answer: the beginning of the first frame.
    pub leftover: Vec<u8>,
}

/// Waits for a server's answer and checks it.
pub struct ResponseReader {
    handshake: ClientHandshake,
    head: HeadReader,
    headers: Option<Headers>,
}

impl fmt::Debug for ResponseReader {
    /// Shows nothing of the answer: it may set cookies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseReader")
            .field("handshake", &self.handshake)
            .finish_non_exhaustive()
    }
}

impl ResponseReader {
    /// Takes in bytes from the server; `None` while the answer is not complete. After `Some` or an
    /// error this value is used up.
    ///
    /// Interim responses (100, 103 …) are skipped, as
    /// [RFC 9110 section 15.2](https://www.rfc-editor.org/rfc/rfc9110#section-15.2) demands.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Accepted>, HandshakeError> {
        let mut rest = bytes;
        while let Some(taken) = self.head.receive(rest)? {
            rest = rest.get(taken..).unwrap_or_default();
            let response = ResponseHead::parse(self.head.head(), self.handshake.limits)?;
            if matches!(response.status, 100 | 102..=199) {
                self.head.next_head();
                continue;
            }
            self.headers = Some(response.headers.clone());
            return self.handshake.check(response, rest).map(Some);
        }
        Ok(None)
    }

    /// The headers of the answer once it is complete, also if it opens no WebSocket.
    pub fn headers(&self) -> Option<&Headers> {
        self.headers.as_ref()
    }

    /// The error that an end of the connection at this point is.
    pub fn receive_eof(&self) -> HandshakeError {
        HandshakeError::Ended {
            started: !self.head.is_empty(),
        }
    }
}

impl ClientHandshake {
    /// <https://www.rfc-editor.org/rfc/rfc6455#section-4.1>, the checks of the server's response
    fn check(&self, response: ResponseHead, leftover: &[u8]) -> Result<Accepted, HandshakeError> {
        let headers = response.headers;
        // 1. The status. A 101 of HTTP/1.0 is none: that version knows no upgrade.
        if response.status != 101 {
            return Err(other_status(
                response.status,
                101,
                response.reason,
                &headers,
            ));
        }
        if response.minor_version != 1 {
            return Err(super::HeadError::Version.into());
        }
        let subprotocol = self.subprotocol_of(&headers)?;
        // 2. and 3. The upgrade.
        match headers.lookup("upgrade") {
            Lookup::One(value) if value.eq_ignore_ascii_case(b"websocket") => {}
            _ => return Err(HandshakeError::Upgrade),
        }
        if !headers.has_token("connection", "upgrade") {
            return Err(HandshakeError::Connection);
        }
        // 4. The answer to our key; base64, so case matters.
        match headers.lookup("sec-websocket-accept") {
            Lookup::One(value) if value == accept_value(&self.key).as_bytes() => {}
            Lookup::One(_) => return Err(HandshakeError::AcceptWrong),
            Lookup::None => return Err(HandshakeError::AcceptMissing),
            Lookup::Many => return Err(HandshakeError::AcceptRepeated),
        }
        let extensions = self.extensions_of(&headers)?;
        let subprotocol = self.chosen(subprotocol)?;
        Ok(Accepted {
            subprotocol,
            extensions,
            headers,
            leftover: leftover.to_vec(),
        })
    }

    /// The check of an answer that is not one of HTTP/1.1, where the stream itself stands for the
    /// upgrade and the key. <https://www.rfc-editor.org/rfc/rfc8441#section-5>
    pub(super) fn check_stream(
        &self,
        status: u16,
        headers: Headers,
    ) -> Result<Accepted, HandshakeError> {
        if !(200..300).contains(&status) {
            return Err(other_status(status, 200, String::new(), &headers));
        }
        let subprotocol = self.subprotocol_of(&headers)?;
        let extensions = self.extensions_of(&headers)?;
        let subprotocol = self.chosen(subprotocol)?;
        Ok(Accepted {
            subprotocol,
            extensions,
            headers,
            leftover: Vec::new(),
        })
    }

    /// WHATWG, establish a WebSocket connection, step 11.2: fails if subprotocols were asked for and
    /// none was chosen.
    fn subprotocol_of<'a>(&self, headers: &'a Headers) -> Result<Option<&'a [u8]>, HandshakeError> {
        match headers.lookup("sec-websocket-protocol") {
            Lookup::None | Lookup::One(b"") if !self.subprotocols.is_empty() => {
                Err(HandshakeError::SubprotocolMissing)
            }
            Lookup::None => Ok(None),
            Lookup::One(value) => Ok(Some(value)),
            Lookup::Many => Err(HandshakeError::SubprotocolRepeated),
        }
    }

    /// 5. No extension that was not offered.
    fn extensions_of(&self, headers: &Headers) -> Result<Vec<ExtensionHeader>, HandshakeError> {
        let extensions = ExtensionHeader::parse_list(headers.values("sec-websocket-extensions"))?;
        for (index, extension) in extensions.iter().enumerate() {
            let name = extension.name();
            if !self.extensions.iter().any(|offer| offer.name() == name) {
                return Err(HandshakeError::ExtensionNotOffered(name.to_owned()));
            }
            if extensions
                .iter()
                .take(index)
                .any(|earlier| earlier.name() == name)
            {
                return Err(HandshakeError::ExtensionRepeated(name.to_owned()));
            }
        }
        Ok(extensions)
    }

    /// 6. No subprotocol that was not asked for; compared exactly.
    fn chosen(&self, subprotocol: Option<&[u8]>) -> Result<Option<String>, HandshakeError> {
        let Some(value) = subprotocol else {
            return Ok(None);
        };
        let mut asked = self.subprotocols.iter();
        match asked.find(|name| name.as_bytes() == value) {
            Some(name) => Ok(Some(name.clone())),
            None => {
                let shown = value.iter().copied().map(char::from).take(80).collect();
                Err(HandshakeError::SubprotocolNotRequested(shown))
            }
        }
    }
}

/// A status that opens nothing.
fn other_status(status: u16, wanted: u16, reason: String, headers: &Headers) -> HandshakeError {
    let location = headers
        .iter()
        .find(|field| field.name().eq_ignore_ascii_case("location"));
    HandshakeError::Status {
        status,
        wanted,
        reason,
        location: location.map(super::Header::value_text),
    }
}
