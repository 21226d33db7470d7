//! Cookies of the opening handshake: a trait for the embedder's jar, and a small jar in memory.
//!
//! A handshake is an HTTP request, and as browsers have it, the cookies of the URL go out with it
//! and those that the answer sets are kept, also if it is no 101
//! ([RFC 6265](https://www.rfc-editor.org/rfc/rfc6265), of which `ws:` and `wss:` count as `http:` and
//! `https:`). A client has no jar unless it is given one.

mod memory;

pub use memory::MemoryJar;

use url::Url;

/// What a jar is asked about.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CookieContext<'a> {
    /// Where the request goes: `ws:` or `wss:`.
    pub url: &'a Url,
    /// The origin of the script that connects, as `Origin` has it; `None` for a program without one.
    /// Cookies with `SameSite` are not for requests from other sites.
    pub origin: Option<&'a str>,
}

/// Keeps cookies. Called in the middle of a handshake: it must not block.
pub trait CookieJar: Send + Sync + 'static {
    /// The value of the `Cookie` header, `None` for no header. What no header can carry is dropped.
    fn cookies(&self, context: &CookieContext<'_>) -> Option<Vec<u8>>;

    /// Takes the values of all `Set-Cookie` headers of an answer. They are a stranger's: of any length,
    /// and not always text.
    fn set_cookies(&self, context: &CookieContext<'_>, values: &mut dyn Iterator<Item = &[u8]>);
}

#[cfg(test)]
mod tests;
