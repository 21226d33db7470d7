//! Which origins a server lets in: what keeps other people's web pages from talking to it in a
//! visitor's name.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc6455#section-10.2>. A browser always sends `Origin`;
//! a program that is not a browser may send none, or any, so this is no authentication.

use std::borrow::Cow;

use url::{Origin, Url};

/// Decides about the `Origin` header of a request. A request without one does not come from a web
/// page and passes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// The origin's host and port are those of the request's `Host` header; the scheme does not
    /// matter, since TLS may end in front of the server. The default.
    #[default]
    SameHost,
    /// The origin is one of these, in serialised form (`https://example.com`, without a path; or
    /// `null`).
    AllowList(Vec<String>),
    /// Any web page may connect. Only for servers that offer nothing that depends on who or where
    /// the visitor is.
    Any,
}

impl OriginPolicy {
    /// Whether a request with this `Origin` and this `Host` header may pass.
    pub fn allows(&self, origin: Option<&str>, host: &str) -> bool {
        let Some(origin) = origin else { return true };
        match self {
            Self::SameHost => is_same_host(origin, host),
            Self::AllowList(allowed) => {
                let origin = normalised(origin);
                allowed.iter().any(|entry| normalised(entry) == origin)
            }
            Self::Any => true,
        }
    }
}

fn is_same_host(origin: &str, host: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else {
        return false;
    };
    let Ok(target) = Url::parse(&format!("{}://{host}/", origin.scheme())) else {
        return false;
    };
    origin.host().is_some()
        && origin.host() == target.host()
        && origin.port_or_known_default() == target.port_or_known_default()
}

/// Upper case, default ports and the like written the way that the URL standard serialises them.
fn normalised(origin: &str) -> Cow<'_, str> {
    match Url::parse(origin).map(|url| url.origin()) {
        Ok(tuple @ Origin::Tuple(..)) => Cow::Owned(tuple.ascii_serialization()),
        // `null`, or the origin of an application's own scheme: compared as it stands.
        _ => Cow::Borrowed(origin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_host_compares_host_and_port() {
        for (origin, host, allowed) in [
            ("https://example.com", "example.com", true),
            ("http://example.com", "example.com", true),
            ("https://EXAMPLE.com", "example.COM", true),
            ("https://example.com", "example.com:443", true),
            ("http://localhost:8080", "localhost:8080", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://localhost:8080", "localhost:8081", false),
            ("http://example.com", "example.com:8080", false),
            ("https://evil.example", "example.com", false),
            ("https://example.com.evil.example", "example.com", false),
            ("null", "example.com", false),
            ("null", "null", false),
            ("", "", false),
            ("file:///x", "x", false),
        ] {
            assert_eq!(
                OriginPolicy::SameHost.allows(Some(origin), host),
                allowed,
                "{origin} at {host}"
            );
        }
    }

    #[test]
    fn an_allow_list_compares_serialised_origins() {
        let policy = OriginPolicy::AllowList(vec![
            "https://a.example".into(),
            "http://b.example:8080".into(),
        ]);
        for (origin, allowed) in [
            ("https://a.example", true),
            ("https://A.example:443", true),
            ("http://a.example", false),
            ("http://b.example:8080", true),
            ("http://b.example", false),
            ("https://xa.example", false),
            ("https://a.example.evil.example", false),
            ("null", false),
        ] {
            assert_eq!(
                policy.allows(Some(origin), "a.example"),
                allowed,
                "{origin}"
            );
        }
        assert!(OriginPolicy::AllowList(vec!["null".into()]).allows(Some("null"), "h"));
    }

    #[test]
    fn no_origin_is_no_web_page() {
        for policy in [
            OriginPolicy::SameHost,
            OriginPolicy::AllowList(vec![]),
            OriginPolicy::Any,
        ] {
            assert!(policy.allows(None, "h"));
        }
        assert!(OriginPolicy::Any.allows(Some("https://anyone.example"), "h"));
    }
}
