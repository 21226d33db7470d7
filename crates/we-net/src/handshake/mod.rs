//! The opening handshake of both roles as values: bytes in, decisions and bytes out, no socket in
//! sight.
//!
//! The client side builds a request ([`ClientHandshake`]) and checks the answer
//! ([`ResponseReader`]); the server side reads a request ([`RequestReader`]), decides
//! ([`OriginPolicy`], [`ServerRequest::accept`], [`Rejection`]) and builds the answer. Both follow
//! [RFC 6455 section 4](https://www.rfc-editor.org/rfc/rfc6455#section-4); where the [WHATWG
//! standard](https://websockets.spec.whatwg.org/#websocket-opening-handshake) is stricter, the
//! client is too.
//!
//! Everything here works on hostile input in bounded memory and linear time: a head is limited by
//! [`HeadLimits`], each byte of it is looked at a fixed number of times however it is cut into
//! reads, and nothing that could break a line (CR, LF, NUL) is ever written.

mod client;
pub mod deflate;
mod error;
mod extension;
mod head;
mod headers;
pub(crate) mod http2;
mod origin;
mod rejection;
mod server;
mod url;

#[cfg(test)]
mod tests;

pub(crate) use client::is_reserved;
pub use client::{Accepted, ClientHandshake, ResponseReader};
pub use error::{HandshakeError, HeadError, HeaderError, SubprotocolError};
pub use extension::{ExtensionError, ExtensionHeader, ExtensionParam};
pub use head::HeadLimits;
pub(crate) use head::{HeadKind, HeadReader, RequestHead, ResponseHead};
pub use headers::{Header, Headers, is_token};
pub use origin::OriginPolicy;
pub use rejection::{Rejection, RejectionReason};
pub use server::{AcceptError, AcceptResponse, RequestReader, ServerRequest};
pub use url::{UrlError, WebSocketUrl, is_bad_port};
pub(crate) use url::{
    authority, basic_authorization, for_log, has_credentials, percent_decode, shown_input,
    without_query,
};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest, Sha1};

/// The version of the protocol that RFC 6455 defines, as `Sec-WebSocket-Version` carries it.
pub(crate) const VERSION: &str = "13";

/// What a server appends to the key before hashing it.
/// <https://www.rfc-editor.org/rfc/rfc6455#section-1.3>
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Computes the `Sec-WebSocket-Accept` value that answers `key` (the header's text, not the decoded
/// nonce). <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2> step 5.4
pub(crate) fn accept_value(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(ACCEPT_GUID);
    BASE64.encode(hash.finalize())
}

/// Checks the subprotocols a client is about to ask for.
///
/// Each must be a token and none may occur twice. Case does not make two names different here,
/// although the names are compared exactly later on: this is what browsers and the web platform
/// tests agree on. <https://www.rfc-editor.org/rfc/rfc6455#section-4.1> (client requirements, 10)
pub fn check_subprotocols<S: AsRef<str>>(subprotocols: &[S]) -> Result<(), SubprotocolError> {
    let mut seen = std::collections::HashSet::with_capacity(subprotocols.len());
    for name in subprotocols {
        let name = name.as_ref();
        if !is_token(name.as_bytes()) {
            return Err(SubprotocolError::NotAToken(name.to_owned()));
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(SubprotocolError::Repeated(name.to_owned()));
        }
    }
    Ok(())
}
