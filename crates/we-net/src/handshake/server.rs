//! The server's half of the opening handshake: the check of a request, and the answer as bytes.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc6455#section-4.2>. A request that is not a proper
//! handshake is answered with the status that tells its sender why ([`Rejection`]); what a server
//! thinks of a proper one (its origin, its path, its subprotocols) is for the caller to say.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use url::Url;

use super::client::is_reserved;
use super::error::HeaderError;
use super::extension::ExtensionHeader;
use super::head::{HeadKind, HeadLimits, HeadReader, RequestHead};
use super::headers::{Headers, Lookup, is_token, write_field};
use super::rejection::{Rejection, RejectionReason};
use super::{VERSION, accept_value};

/// Waits for a client's request and checks it.
///
/// ```
/// use we_net::handshake::{HeadLimits, RequestReader};
///
/// let mut reader = RequestReader::new(HeadLimits::default());
/// assert_eq!(reader.receive(b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n")?, None);
/// let request = reader
///     .receive(
///         b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, superchat\r\n\r\n",
///     )?
///     .ok_or("the request is complete")?;
/// let response = request.accept().with_subprotocol("superchat")?.to_bytes();
/// assert!(response.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RequestReader {
    head: HeadReader,
    limits: HeadLimits,
}

/// A proper handshake request: what a server needs to know to answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerRequest {
    /// Path and query that the client asks for; begins with `/`.
    pub resource: String,
    /// The `Host` header, or `:authority` over HTTP/2: host, and port where it is not the default one.
    pub host: String,
    /// The `Origin` header, if there is one; see [`OriginPolicy`](super::OriginPolicy).
    pub origin: Option<String>,
    /// The `Sec-WebSocket-Key` header as it stands: the base64 form of 16 bytes. Empty over HTTP/2,
    /// which has none.
    pub key: String,
    /// The subprotocols that the client speaks, its favourite first.
    pub subprotocols: Vec<String>,
    /// The extensions that the client offers, its favourite first.
    pub extensions: Vec<ExtensionHeader>,
    /// All headers of the request.
    pub headers: Headers,
    /// Bytes that arrived after the request. A client should have waited for the answer, but they
    /// are its first frames.
    pub leftover: Vec<u8>,
}

impl RequestReader {
    /// Waits for a request whose head is no larger than `limits` say.
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            head: HeadReader::new(HeadKind::Request, limits),
            limits,
        }
    }

    /// Takes in bytes from the client; `None` while the request is not complete. After `Some` or an
    /// error this value is used up; the error's bytes are what to answer before closing the
    /// connection.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<ServerRequest>, Rejection> {
        let Some(taken) = self.head.receive(bytes).map_err(RejectionReason::Head)? else {
            return Ok(None);
        };
        let request =
            RequestHead::parse(self.head.head(), self.limits).map_err(RejectionReason::Head)?;
        let leftover = bytes.get(taken..).unwrap_or_default();
        Ok(Some(ServerRequest::check(request, leftover)?))
    }

    /// Whether nothing has arrived yet.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }
}

impl ServerRequest {
    /// <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1>
    fn check(request: RequestHead, leftover: &[u8]) -> Result<Self, RejectionReason> {
        let headers = request.headers;
        // 1. An HTTP/1.1 or higher GET request with a request target.
        if request.minor_version != 1 {
            return Err(RejectionReason::HttpVersion);
        }
        if request.method != "GET" {
            return Err(RejectionReason::Method);
        }
        let resource = resource_of(&request.target).ok_or(RejectionReason::Target)?;
        // 2. Host.
        let host = match headers.lookup("host") {
            Lookup::One(value) => host_of(value).ok_or(RejectionReason::Host)?,
            Lookup::None | Lookup::Many => return Err(RejectionReason::Host),
        };
        // 3. and 4. The upgrade.
        if !headers.has_token("upgrade", "websocket") {
            return Err(RejectionReason::Upgrade);
        }
        if !headers.has_token("connection", "upgrade") {
            return Err(RejectionReason::Connection);
        }
        // 6. The version comes before the key: what a key is, another version may say differently.
        if headers.single("sec-websocket-version") != Some(VERSION.as_bytes()) {
            return Err(RejectionReason::Version);
        }
        // 5. The key, which decodes to 16 bytes.
        let key = headers
            .single("sec-websocket-key")
            .and_then(key_of)
            .ok_or(RejectionReason::Key)?;
        // A GET with a body is odd in HTTP already; here its bytes would be taken for frames.
        if has_body(&headers) {
            return Err(RejectionReason::Body);
        }
        let Wishes {
            origin,
            subprotocols,
            extensions,
        } = Wishes::of(&headers)?;
        Ok(Self {
            resource,
            host,
            origin,
            key,
            subprotocols,
            extensions,
            headers,
            leftover: leftover.to_vec(),
        })
    }

    /// The answer that opens the connection, without subprotocol and extensions so far.
    pub fn accept(&self) -> AcceptResponse<'_> {
        AcceptResponse {
            request: self,
            subprotocol: None,
            extensions: Vec::new(),
            headers: Headers::new(),
        }
    }

    /// The first of the client's subprotocols that is among `spoken`: the client's preference
    /// decides.
    pub fn choose_subprotocol<S: AsRef<str>>(&self, spoken: &[S]) -> Option<&str> {
        self.subprotocols
            .iter()
            .map(String::as_str)
            .find(|name| spoken.iter().any(|other| other.as_ref() == *name))
    }
}

/// What a client wants besides a WebSocket, whatever the version of HTTP.
pub(super) struct Wishes {
    pub(super) origin: Option<String>,
    pub(super) subprotocols: Vec<String>,
    pub(super) extensions: Vec<ExtensionHeader>,
}

impl Wishes {
    /// <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1>
    pub(super) fn of(headers: &Headers) -> Result<Self, RejectionReason> {
        // 7. Origin.
        let origin = match headers.lookup("origin") {
            Lookup::None => None,
            Lookup::One(value) => Some(ascii(value).ok_or(RejectionReason::OriginHeader)?),
            Lookup::Many => return Err(RejectionReason::OriginHeader),
        };
        // 8. Subprotocols.
        let mut subprotocols = Vec::new();
        for name in headers.list("sec-websocket-protocol") {
            if !is_token(name) {
                return Err(RejectionReason::Subprotocols);
            }
            subprotocols.push(ascii(name).ok_or(RejectionReason::Subprotocols)?);
        }
        let different: std::collections::HashSet<&String> = subprotocols.iter().collect();
        if different.len() != subprotocols.len() {
            return Err(RejectionReason::Subprotocols);
        }
        // 9. Extensions.
        let extensions = ExtensionHeader::parse_list(headers.values("sec-websocket-extensions"))
            .map_err(RejectionReason::Extensions)?;
        Ok(Self {
            origin,
            subprotocols,
            extensions,
        })
    }
}

/// The answer that opens a connection, being put together.
#[derive(Clone, Debug)]
pub struct AcceptResponse<'a> {
    request: &'a ServerRequest,
    subprotocol: Option<String>,
    extensions: Vec<ExtensionHeader>,
    headers: Headers,
}

/// An answer that the client would have to refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The client did not ask for this subprotocol.
    #[error("the client did not ask for subprotocol `{0}`")]
    Subprotocol(String),
    /// The client did not offer this extension, or it is accepted already.
    #[error("the client did not offer extension `{0}`, or it is accepted already")]
    Extension(String),
    /// The header cannot be sent.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

impl AcceptResponse<'_> {
    /// Chooses `name`, which must be one of the client's subprotocols.
    pub fn with_subprotocol(mut self, name: &str) -> Result<Self, AcceptError> {
        if !self.request.subprotocols.iter().any(|asked| asked == name) {
            return Err(AcceptError::Subprotocol(name.to_owned()));
        }
        self.subprotocol = Some(name.to_owned());
        Ok(self)
    }

    /// Accepts an extension with the parameters agreed on; the client must have offered it.
    pub fn with_extension(mut self, extension: ExtensionHeader) -> Result<Self, AcceptError> {
        let has =
            |list: &[ExtensionHeader]| list.iter().any(|other| other.name() == extension.name());
        if !has(&self.request.extensions) || has(&self.extensions) {
            return Err(AcceptError::Extension(extension.name().to_owned()));
        }
        self.extensions.push(extension);
        Ok(self)
    }

    /// Adds a header, such as `Set-Cookie`. Those that the handshake itself writes are refused.
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, AcceptError> {
        if is_reserved(name) {
            return Err(HeaderError::Reserved(name.to_owned()).into());
        }
        self.headers.append(name, value)?;
        Ok(self)
    }

    /// The answer as it goes over the wire.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2> step 5
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
            accept_value(&self.request.key)
        )
        .into_bytes();
        self.each_field(|name, value| write_field(&mut out, name, value));
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The fields that do not depend on the version of HTTP.
    pub(super) fn each_field(&self, mut write: impl FnMut(&str, &[u8])) {
        if let Some(subprotocol) = &self.subprotocol {
            write("Sec-WebSocket-Protocol", subprotocol.as_bytes());
        }
        if !self.extensions.is_empty() {
            let list = ExtensionHeader::format_list(&self.extensions);
            write("Sec-WebSocket-Extensions", list.as_bytes());
        }
        for field in self.headers.iter() {
            write(field.name(), field.value());
        }
    }
}

/// Path and query of a request target in origin form or, as RFC 6455 wants it too, in absolute
/// form. <https://www.rfc-editor.org/rfc/rfc6455#section-3>, `resource-name`
pub(super) fn resource_of(target: &str) -> Option<String> {
    if !target
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        return None;
    }
    if target.starts_with('/') {
        return Some(target.to_owned());
    }
    let url = Url::parse(target).ok()?;
    if !matches!(url.scheme(), "http" | "https" | "ws" | "wss") {
        return None;
    }
    Some(match url.query() {
        None => url.path().to_owned(),
        Some(query) => format!("{}?{query}", url.path()),
    })
}

/// A `Host` value, if it is a host with at most a port.
pub(super) fn host_of(value: &[u8]) -> Option<String> {
    let host = ascii(value)?;
    if host
        .bytes()
        .any(|byte| matches!(byte, b'/' | b'\\' | b'?' | b'#' | b'@' | b' ' | b'\t'))
    {
        return None;
    }
    Url::parse(&format!("http://{host}/")).ok()?;
    Some(host)
}

/// Base64 whose last character may have stray bits: the very example of RFC 6455 section 4.1 has
/// them.
const FORGIVING_BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A `Sec-WebSocket-Key` value, if it decodes to 16 bytes.
fn key_of(value: &[u8]) -> Option<String> {
    let nonce = FORGIVING_BASE64.decode(value).ok()?;
    if nonce.len() == 16 {
        ascii(value)
    } else {
        None
    }
}

pub(super) fn has_body(headers: &Headers) -> bool {
    headers.values("transfer-encoding").next().is_some()
        || headers
            .values("content-length")
            .any(|length| length.iter().any(|digit| *digit != b'0'))
}

fn ascii(value: &[u8]) -> Option<String> {
    if value.is_ascii() {
        String::from_utf8(value.to_vec()).ok()
    } else {
        None
    }
}
