//! Cookies of the opening handshake: a trait for the embedder's jar, and a small jar in memory.
//!
//! A handshake is an HTTP request, and as browsers have it, the cookies of the URL go out with it
//! and those that the answer sets are kept, also if it is no 101
//! ([RFC 6265](https://www.rfc-editor.org/rfc/rfc6265), of which `ws:` and `wss:` count as `http:` and
//! `https:`). A client has no jar unless it is given one.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use cookie_store::{CookieStore, RawCookie};
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

/// A jar in memory, for the time of a program.
///
/// It leans to the safe side. Having no list of public suffixes, it gives every cookie back only to
/// the very host that has set it, `Domain` or not. To origins of other hosts it gives only cookies
/// with `SameSite=None`. It holds 180 cookies of a host and 3,000 altogether, of 4,096 bytes each;
/// what is more it does not take.
#[derive(Default)]
pub struct MemoryJar {
    store: Mutex<CookieStore>,
}

/// <https://www.rfc-editor.org/rfc/rfc6265#section-6.1>
const MAX_BYTES: usize = 4096;
const MAX_COOKIES: usize = 3000;
/// As in Chromium; the RFC asks for at least 50.
const MAX_OF_HOST: usize = 180;

impl MemoryJar {
    /// An empty jar.
    pub fn new() -> Self {
        Self::default()
    }

    fn set(store: &mut CookieStore, url: &Url, value: &[u8]) {
        if value.len() > MAX_BYTES {
            return;
        }
        // Cookies are bytes; those that are not text are not kept.
        let Ok(text) = std::str::from_utf8(value) else {
            return;
        };
        let Ok(mut cookie) = RawCookie::parse(text.to_owned()) else {
            return;
        };
        cookie.unset_domain();
        // Those that have expired make room first.
        let host = url.host_str().unwrap_or_default();
        let of_host = |cookie: &&cookie_store::Cookie<'static>| {
            String::from(&cookie.domain).eq_ignore_ascii_case(host)
        };
        let is_new = store
            .iter_any()
            .filter(of_host)
            .all(|kept| kept.name() != cookie.name());
        let full = store.iter_any().count() >= MAX_COOKIES
            || store.iter_any().filter(of_host).count() >= MAX_OF_HOST;
        if is_new && full {
            return;
        }
        if let Err(error) = store.insert_raw(&cookie, url) {
            tracing::debug!(target: "we::net", %error, "a cookie is not kept");
        }
    }
}

impl CookieJar for MemoryJar {
    fn cookies(&self, context: &CookieContext<'_>) -> Option<Vec<u8>> {
        let url = as_http(context.url)?;
        let same_site = context.origin.is_none_or(|origin| {
            Url::parse(origin).is_ok_and(|origin| origin.host_str() == url.host_str())
        });
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut header = String::new();
        for cookie in store.matches(&url) {
            let for_all = cookie.same_site().is_some_and(|same| same.is_none());
            if !same_site && !for_all {
                continue;
            }
            if !header.is_empty() {
                header.push_str("; ");
            }
            let (name, value) = cookie.name_value();
            header.push_str(name);
            header.push('=');
            header.push_str(value);
        }
        (!header.is_empty()).then(|| header.into_bytes())
    }

    fn set_cookies(&self, context: &CookieContext<'_>, values: &mut dyn Iterator<Item = &[u8]>) {
        let Some(url) = as_http(context.url) else {
            return;
        };
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        for value in values {
            Self::set(&mut store, &url, value);
        }
    }
}

impl fmt::Debug for MemoryJar {
    /// Shows no cookies: they are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryJar").finish_non_exhaustive()
    }
}

/// Cookies know no `ws:`; `wss:` is as secure as `https:`.
fn as_http(url: &Url) -> Option<Url> {
    let rest = match url.scheme() {
        "ws" | "wss" => url.as_str().strip_prefix("ws")?,
        _ => return Some(url.clone()),
    };
    Url::parse(&format!("http{rest}")).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn set(jar: &MemoryJar, url: &str, value: &[u8]) {
        let url = Url::parse(url).unwrap();
        let context = CookieContext {
            url: &url,
            origin: None,
        };
        jar.set_cookies(&context, &mut [value].into_iter());
    }

    fn get(jar: &MemoryJar, url: &str, origin: Option<&str>) -> String {
        let url = Url::parse(url).unwrap();
        let cookies = jar.cookies(&CookieContext { url: &url, origin });
        String::from_utf8(cookies.unwrap_or_default()).unwrap()
    }

    #[test]
    fn cookies_go_where_they_came_from() {
        let jar = MemoryJar::new();
        for cookie in [
            "a=1; HttpOnly",
            "b=2; Secure",
            "c=3; Path=/deep",
            "d=4; Domain=example",
            "e=5; Domain=a.example",
            "f=6; Max-Age=0",
            "g=7; Domain=other.example",
        ] {
            set(&jar, "wss://a.example/x", cookie.as_bytes());
        }
        for (url, expected) in [
            ("wss://a.example/", "a b d e g"),
            ("ws://a.example:81/", "a d e g"),
            ("wss://a.example/deep/er", "a b c d e g"),
            ("wss://b.a.example/", ""),
            ("wss://other.example/", ""),
            ("wss://example/", ""),
        ] {
            let header = get(&jar, url, None);
            let mut names: Vec<&str> = header
                .split("; ")
                .filter_map(|cookie| Some(cookie.split_once('=')?.0))
                .collect();
            names.sort_unstable();
            assert_eq!(names.join(" "), expected, "{url}: {header}");
        }
    }

    #[test]
    fn other_sites_get_only_what_is_for_them() {
        let jar = MemoryJar::new();
        let url = "wss://a.example/";
        for cookie in ["a=1", "b=2; SameSite=Lax", "c=3; SameSite=None; Secure"] {
            set(&jar, url, cookie.as_bytes());
        }
        let own = get(&jar, url, Some("https://a.example"));
        assert_eq!(own.split("; ").count(), 3, "{own}");
        for origin in ["https://b.example", "null"] {
            assert_eq!(get(&jar, url, Some(origin)), "c=3", "{origin}");
        }
    }

    #[test]
    fn what_is_too_much_or_malformed_is_not_taken() {
        let jar = MemoryJar::new();
        let url = "ws://a.example/";
        set(&jar, url, &[b"x=".as_slice(), &[b'y'; MAX_BYTES]].concat());
        for value in [
            &b""[..],
            b"=",
            b"\xff=1",
            b";;;",
            b"a",
            b"a\x00b=1;Expires=\xc3\xa4",
        ] {
            set(&jar, url, value);
        }
        let before = get(&jar, url, None);
        assert!(
            !before.contains('x') && !before.contains('\u{fffd}'),
            "{before:?}"
        );
        let jar = MemoryJar::new();
        for number in 0..=MAX_OF_HOST {
            set(&jar, url, format!("n{number}=1").as_bytes());
        }
        assert_eq!(get(&jar, url, None).split("; ").count(), MAX_OF_HOST);
        // A new value for a cookie that is there.
        set(&jar, url, b"n0=2");
        assert!(get(&jar, url, None).contains("n0=2"));
    }
}
