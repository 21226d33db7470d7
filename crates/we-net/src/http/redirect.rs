//! Redirects: which request follows a response.
//!
//! Follows <https://fetch.spec.whatwg.org/#http-redirect-fetch>, of which the steps about methods
//! and bodies do not matter: a GET stays one.

use url::{Origin, Url};

use super::request::is_http;
use super::{HttpError, RedirectError, Request, Response};
use crate::handshake::{Headers, authority, has_credentials, shown_input};

/// How many redirects are followed.
pub const MAX_REDIRECTS: u8 = 20;

/// Headers of the caller's that are meant for one origin and do not go to another.
///
/// <https://fetch.spec.whatwg.org/#cors-non-wildcard-request-header-name>, and those that fetch
/// computes anew for each URL.
const FOR_ONE_ORIGIN: [&str; 3] = ["Authorization", "Cookie", "Proxy-Authorization"];

impl Request {
    /// The request that follows if `response`, the answer to this one, is a redirect.
    ///
    /// Headers go along, except that `Authorization` and `Cookie` do not go to another origin, and
    /// `Origin` becomes `null` once a foreign origin has redirected to another one. A user name and
    /// password in `Location` are refused where origins differ: that of this request, that of the
    /// next, and the `Origin` header if there is one.
    ///
    /// # Errors
    /// [`HttpError::Redirect`] if it must not be followed.
    ///
    /// The next request has the method of this one: that is right for GET and HEAD.
    pub fn redirected(&self, response: &Response) -> Result<Option<Request>, HttpError> {
        self.next(response.status, &response.headers)
            .map_err(|source| HttpError::Redirect {
                host: authority(&self.url),
                source,
            })
    }

    fn next(&self, status: u16, headers: &Headers) -> Result<Option<Request>, RedirectError> {
        if !is_redirect(status) {
            return Ok(None);
        }
        let Some(url) = location(headers, &self.url)? else {
            return Ok(None);
        };
        if !is_http(&url) {
            return Err(RedirectError::Scheme(url.scheme().to_owned()));
        }
        if self.redirects >= MAX_REDIRECTS {
            return Err(RedirectError::TooMany);
        }
        let mut next = self.clone();
        next.redirects += 1;
        let (here, there) = (self.url.origin(), url.origin());
        let asker = self.headers.values("Origin").next();
        let is_foreign = |origin: &Origin| {
            asker.is_some_and(|asker| asker != origin.ascii_serialization().as_bytes())
        };
        if has_credentials(&url) && (here != there || is_foreign(&here) || is_foreign(&there)) {
            return Err(RedirectError::Credentials);
        }
        if here != there {
            for name in FOR_ONE_ORIGIN {
                next.headers.remove(name);
            }
            // https://fetch.spec.whatwg.org/#concept-request-tainted-origin
            if is_foreign(&here) {
                next.headers.remove("Origin");
                // Neither name nor value has anything that a header cannot have.
                let _ = next.headers.append("Origin", "null");
            }
        }
        next.url = url;
        Ok(Some(next))
    }
}

impl Response {
    /// The URL that the answer redirects to: [location URL][spec]. `None` if it is no redirect, or does not
    /// say where to.
    ///
    /// [spec]: https://fetch.spec.whatwg.org/#concept-response-location-url
    ///
    /// # Errors
    /// [`HttpError::Redirect`] if `Location` is not one URL.
    pub fn location(&self) -> Result<Option<Url>, HttpError> {
        if !is_redirect(self.status) {
            return Ok(None);
        }
        location(&self.headers, &self.url).map_err(|source| HttpError::Redirect {
            host: authority(&self.url),
            source,
        })
    }
}

/// <https://fetch.spec.whatwg.org/#redirect-status>
fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads; `None` if it does not say.
///
/// <https://fetch.spec.whatwg.org/#concept-response-location-url>
fn location(headers: &Headers, current: &Url) -> Result<Option<Url>, RedirectError> {
    let mut values = headers.values("Location");
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(RedirectError::Repeated),
    };
    let text = percent_encode_non_ascii(value);
    let mut url = current
        .join(&text)
        .map_err(|_| RedirectError::Location(shown_input(&text)))?;
    if url.fragment().is_none() {
        url.set_fragment(current.fragment());
    }
    Ok(Some(url))
}

/// Bytes that are not ASCII are taken as they are, whatever their encoding may be: in a URL they
/// end up percent-encoded anyway.
fn percent_encode_non_ascii(value: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(value.len());
    for byte in value {
        if byte.is_ascii() {
            text.push(char::from(*byte));
        } else {
            // A string can always be written to.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Client;

    const FROM: &str = "https://a.example/dir/page?q#frag";

    fn request(url: &str) -> Request {
        Client::default().get(url).unwrap()
    }

    fn follow(request: &Request, location: &[u8]) -> Result<Option<Request>, RedirectError> {
        let mut headers = Headers::new();
        headers.append("location", location).unwrap();
        request.next(302, &headers)
    }

    #[test]
    fn the_location_is_resolved_and_inherits_the_fragment() {
        for (location, url) in [
            (&b"other"[..], "https://a.example/dir/other#frag"),
            (b"/x?y", "https://a.example/x?y#frag"),
            (b"#new", "https://a.example/dir/page?q#new"),
            (b"#", "https://a.example/dir/page?q#"),
            (b"//b.example", "https://b.example/#frag"),
            (b"http://b.example:8080/", "http://b.example:8080/#frag"),
            (b"", "https://a.example/dir/page?q#frag"),
            ("/ü".as_bytes(), "https://a.example/%C3%BC#frag"),
            (b"/\xfc", "https://a.example/%FC#frag"),
            (
                "//bücher.example/".as_bytes(),
                "https://xn--bcher-kva.example/#frag",
            ),
        ] {
            let next = follow(&request(FROM), location).unwrap().unwrap();
            assert_eq!(next.url.as_str(), url);
        }
    }

    #[test]
    fn only_redirect_statuses_with_a_location_are_redirects() {
        let mut headers = Headers::new();
        assert!(request(FROM).next(302, &headers).unwrap().is_none());
        headers.append("Location", "/x").unwrap();
        for (status, redirects) in [
            (200, false),
            (201, false),
            (300, false),
            (301, true),
            (302, true),
            (303, true),
            (304, false),
            (305, false),
            (307, true),
            (308, true),
            (404, false),
        ] {
            let next = request(FROM).next(status, &headers).unwrap();
            assert_eq!(next.is_some(), redirects, "{status}");
        }
    }

    #[test]
    fn what_must_not_be_followed_is_not() {
        let from = request(FROM);
        for (location, error) in [
            ("data:text/plain,x", RedirectError::Scheme("data".into())),
            ("ws://a.example/", RedirectError::Scheme("ws".into())),
            ("https://:x/", RedirectError::Location("https://:x/".into())),
            ("https://u:p@b.example/", RedirectError::Credentials),
            ("https://u@b.example/", RedirectError::Credentials),
        ] {
            assert_eq!(follow(&from, location.as_bytes()).unwrap_err(), error);
        }
        assert!(follow(&from, b"https://u:p@a.example/").is_ok());
        for (origin, refused) in [
            ("https://a.example", false),
            ("https://b.example", true),
            ("null", true),
        ] {
            let from = request(FROM).header("Origin", origin).unwrap();
            let followed = follow(&from, b"https://u:p@a.example/");
            assert_eq!(followed.is_err(), refused, "{origin}");
        }
        let mut headers = Headers::new();
        headers.append("Location", "/x").unwrap();
        headers.append("Location", "/x").unwrap();
        assert_eq!(
            from.next(301, &headers).unwrap_err(),
            RedirectError::Repeated
        );
    }

    #[test]
    fn twenty_redirects_are_followed() {
        let mut request = request(FROM);
        for _ in 0..20 {
            request = follow(&request, b"/x").unwrap().unwrap();
        }
        assert_eq!(follow(&request, b"/x").unwrap_err(), RedirectError::TooMany);
    }

    #[test]
    fn secrets_do_not_go_to_another_origin() {
        let from = request(FROM)
            .header("authorization", "secret")
            .unwrap()
            .header("COOKIE", "secret")
            .unwrap()
            .header("X-Mine", "1")
            .unwrap();
        let same = follow(&from, b"/x").unwrap().unwrap();
        assert_eq!(same.headers.len(), 3);
        for location in [
            "https://b.example/",
            "http://a.example/",
            "https://a.example:8443/",
        ] {
            let other = follow(&from, location.as_bytes()).unwrap().unwrap();
            assert_eq!(other.headers.len(), 1, "{location}");
            // Nor are they taken out again when it leads back.
            let back = follow(&other, FROM.as_bytes()).unwrap().unwrap();
            assert_eq!(back.headers.len(), 1, "{location}");
        }
    }

    #[test]
    fn the_origin_is_hidden_after_a_foreign_origin() {
        for (chain, sent) in [
            // Same origin throughout, or away from it: whoever asks is still told.
            (&["https://a.example/2"][..], "https://a.example"),
            (&["https://b.example/"], "https://a.example"),
            (&["https://b.example/", "/2"], "https://a.example"),
            // From one foreign origin to another, be it back home.
            (&["https://b.example/", "https://c.example/"], "null"),
            (&["https://b.example/", "https://a.example/"], "null"),
        ] {
            let mut request = request(FROM).header("Origin", "https://a.example").unwrap();
            for location in chain {
                request = follow(&request, location.as_bytes()).unwrap().unwrap();
            }
            assert_eq!(
                request.headers.single("origin"),
                Some(sent.as_bytes()),
                "{chain:?}"
            );
        }
    }
}
