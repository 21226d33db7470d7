//! The [`MemoryJar`].

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cookie_store::{Cookie, RawCookie};
use url::Url;

use super::{CookieContext, CookieJar};

/// A jar in memory, for the time of a program.
///
/// It leans to the safe side. Having no list of public suffixes, it gives every cookie back only to
/// the very host that has set it, `Domain` or not. Origins of other hosts, or of another scheme
/// (`ws:` counts as `http:`), get and set only cookies with `SameSite=None`. Secure cookies are for
/// `wss:` alone, also on this machine. As in
/// [RFC 6265bis](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-5.7),
/// `ws:` neither sets nor shadows them, and `__Secure-` and `__Host-` mean what they say.
///
/// It holds 180 cookies of a host and 3,000 altogether, of 4,096 bytes each. To a new one first those
/// that have expired make room, then the oldest of its host, or of the host with the most; those
/// without `Secure` go first.
#[derive(Default)]
pub struct MemoryJar {
    shelves: Mutex<Shelves>,
}

/// <https://www.rfc-editor.org/rfc/rfc6265#section-6.1>
pub(super) const MAX_BYTES: usize = 4096;
pub(super) const MAX_COOKIES: usize = 3000;
/// As in Chromium; the RFC asks for at least 50.
pub(super) const MAX_OF_HOST: usize = 180;

/// The cookies by host. No host is without any.
#[derive(Default)]
struct Shelves {
    hosts: HashMap<String, Vec<Kept>>,
    /// Of all hosts.
    count: usize,
    /// Rises with each new cookie.
    clock: u64,
}

struct Kept {
    cookie: Cookie<'static>,
    /// When it was first set.
    created: u64,
}

impl Kept {
    /// Whether this is the cookie that `other` is to replace. The host is the same already.
    fn is(&self, other: &Cookie<'_>) -> bool {
        self.cookie.name() == other.name() && *self.cookie.path == *other.path
    }
}

impl MemoryJar {
    /// An empty jar.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing panics while the lock is held.
    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets all cookies so far expire, as if time had passed.
    #[cfg(test)]
    pub(super) fn expire_all(&self) {
        let mut shelves = self.lock();
        for kept in shelves.hosts.values_mut().flatten() {
            kept.cookie.expire();
        }
    }

    /// How many cookies take up room, expired ones too.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let shelves = self.lock();
        let sum = shelves.hosts.values().map(Vec::len).sum();
        assert_eq!(shelves.count, sum);
        assert!(shelves.hosts.values().all(|kept| !kept.is_empty()));
        sum
    }
}

impl Shelves {
    /// Puts a cookie in, and others out where there are too many.
    ///
    /// <https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-5.7>
    fn put(&mut self, host: &str, cookie: Cookie<'static>) {
        if cookie.is_expired() {
            self.take_out(host, |kept| kept.is(&cookie));
            return;
        }
        let shelf = self.hosts.entry(host.to_owned()).or_default();
        if let Some(kept) = shelf.iter_mut().find(|kept| kept.is(&cookie)) {
            kept.cookie = cookie;
            return;
        }
        self.clock += 1;
        let created = self.clock;
        shelf.push(Kept { cookie, created });
        self.count += 1;
        if shelf.len() > MAX_OF_HOST {
            self.evict(host);
        } else if self.count > MAX_COOKIES {
            // Among equals, the one whose first cookie is the oldest.
            let fullness = |(_, shelf): &(&String, &Vec<Kept>)| {
                (shelf.len(), Reverse(shelf.first().map(|kept| kept.created)))
            };
            let fullest = self.hosts.iter().max_by_key(fullness);
            if let Some((fullest, _)) = fullest {
                let fullest = fullest.clone();
                self.evict(&fullest);
            }
        }
    }

    /// Removes the oldest cookie of a host: one without `Secure`, if it has any.
    fn evict(&mut self, host: &str) {
        let oldest = self.hosts.get(host).and_then(|shelf| {
            let age = |kept: &&Kept| (kept.cookie.secure() == Some(true), kept.created);
            shelf.iter().min_by_key(age).map(|kept| kept.created)
        });
        self.take_out(host, |kept| Some(kept.created) == oldest);
    }

    /// Removes those cookies of a host.
    fn take_out(&mut self, host: &str, unwanted: impl Fn(&Kept) -> bool) {
        if let Some(shelf) = self.hosts.get_mut(host) {
            let before = shelf.len();
            shelf.retain(|kept| !unwanted(kept));
            self.count -= before - shelf.len();
            if shelf.is_empty() {
                self.hosts.remove(host);
            }
        }
    }

    /// Removes the cookies that have expired, of all hosts.
    fn sweep(&mut self) {
        self.hosts.retain(|_, shelf| {
            shelf.retain(|kept| !kept.cookie.is_expired());
            !shelf.is_empty()
        });
        self.count = self.hosts.values().map(Vec::len).sum();
    }

    /// Whether a Secure cookie is there that `cookie`, which has come by `ws:`, would shadow.
    fn has_secure_like(&self, host: &str, cookie: &Cookie<'_>) -> bool {
        self.hosts.get(host).is_some_and(|shelf| {
            shelf.iter().any(|kept| {
                kept.cookie.secure() == Some(true)
                    && kept.cookie.name() == cookie.name()
                    && path_matches(&cookie.path, &kept.cookie.path)
            })
        })
    }

    /// Takes one `Set-Cookie`, if it keeps to the rules.
    fn set(&mut self, url: &Url, same_site: bool, value: &[u8]) {
        if value.len() > MAX_BYTES {
            return;
        }
        // Cookies are bytes; those that are not text are not kept, nor those that no header could
        // carry back.
        let Ok(text) = std::str::from_utf8(value) else {
            return;
        };
        if text
            .bytes()
            .any(|byte| byte.is_ascii_control() && byte != b'\t')
        {
            return;
        }
        let Ok(mut raw) = RawCookie::parse(text.to_owned()) else {
            return;
        };
        let had_domain = raw.domain().is_some();
        raw.unset_domain();
        let cookie = match Cookie::try_from_raw_cookie(&raw, url) {
            Ok(cookie) => cookie.into_owned(),
            Err(error) => {
                tracing::debug!(target: "we::net", %error, "a cookie is not kept");
                return;
            }
        };
        let host = url.host_str().unwrap_or_default();
        let secure = cookie.secure() == Some(true);
        let from_secure = is_secure(url);
        let for_all = is_for_all(&cookie);
        let refusal = if secure && !from_secure {
            "Secure, but by ws:"
        } else if for_all && !secure {
            "SameSite=None, but not Secure"
        } else if !for_all && !same_site {
            "by another site without SameSite=None"
        } else if has_prefix(cookie.name(), "__Secure-") && !secure {
            "__Secure- without Secure"
        } else if has_prefix(cookie.name(), "__Host-")
            && !(secure && !had_domain && cookie.path.is_from_path_attr() && &*cookie.path == "/")
        {
            "__Host- without Secure and Path=/, or with Domain"
        } else if !from_secure && self.has_secure_like(host, &cookie) {
            "by ws: over a Secure one"
        } else {
            return self.put(host, cookie);
        };
        tracing::debug!(target: "we::net", refusal, "a cookie is not kept");
    }
}

impl CookieJar for MemoryJar {
    fn cookies(&self, context: &CookieContext<'_>) -> Option<Vec<u8>> {
        let url = as_http(context.url)?;
        let same_site = is_same_site(&url, context.origin);
        let from_secure = is_secure(&url);
        let shelves = self.lock();
        let mut wanted: Vec<&Kept> = shelves
            .hosts
            .get(url.host_str()?)?
            .iter()
            .filter(|Kept { cookie, .. }| {
                !cookie.is_expired()
                    && path_matches(url.path(), &cookie.path)
                    && (from_secure || cookie.secure() != Some(true))
                    && (same_site || is_for_all(cookie))
            })
            .collect();
        // Those with longer paths first, of these the older ones.
        wanted.sort_by_key(|kept| (Reverse(kept.cookie.path.len()), kept.created));
        let mut header = String::new();
        for kept in wanted {
            if !header.is_empty() {
                header.push_str("; ");
            }
            let (name, value) = kept.cookie.name_value();
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
        let same_site = is_same_site(&url, context.origin);
        let mut shelves = self.lock();
        // Once for all of them: what they set themselves does not expire so soon.
        shelves.sweep();
        for value in values {
            shelves.set(&url, same_site, value);
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

fn is_secure(url: &Url) -> bool {
    url.scheme() == "https"
}

/// Whether a request to `url` comes from the same host by the same scheme. One without origin does.
///
/// <https://html.spec.whatwg.org/multipage/browsers.html#same-site>, with hosts for lack of a list of
/// public suffixes
fn is_same_site(url: &Url, origin: Option<&str>) -> bool {
    origin.is_none_or(|origin| {
        Url::parse(origin).is_ok_and(|origin| {
            as_http(&origin).is_some_and(|origin| {
                origin.scheme() == url.scheme() && origin.host_str() == url.host_str()
            })
        })
    })
}

/// Whether other sites get it and may set it: `SameSite=None`. Without `SameSite` it counts as `Lax`.
fn is_for_all(cookie: &Cookie<'_>) -> bool {
    cookie.same_site().is_some_and(|same| same.is_none())
}

/// <https://www.rfc-editor.org/rfc/rfc6265#section-5.1.4>
fn path_matches(path: &str, of_cookie: &str) -> bool {
    path.strip_prefix(of_cookie)
        .is_some_and(|rest| rest.is_empty() || of_cookie.ends_with('/') || rest.starts_with('/'))
}

/// Servers may not look at the case of a name, so a prefix in another case is one, too.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
