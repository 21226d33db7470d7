//! The CORS protocol: <https://fetch.spec.whatwg.org/#http-cors-protocol>

use super::{
    enums::ReferrerPolicy,
    header_list::{HeaderList, is_forbidden_response_header},
    request::is_cors_safelisted_method,
};

/// The [CORS check](https://fetch.spec.whatwg.org/#concept-cors-check): whether a server lets an origin read its answer.
pub(super) fn is_shared(headers: &HeaderList, origin: &str, with_credentials: bool) -> bool {
    match headers.get("access-control-allow-origin") {
        None => false,
        Some(allowed) if !with_credentials && allowed == b"*" => true,
        Some(allowed) if allowed != origin.as_bytes() => false,
        Some(_) if !with_credentials => true,
        Some(_) => headers
            .get("access-control-allow-credentials")
            .is_some_and(|value| value == b"true"),
    }
}

/// What a preflight request asks for.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) has_authorization: bool,
    pub(super) unsafe_names: &'a [String],
    pub(super) with_credentials: bool,
    pub(super) use_preflight: bool,
}

impl Asked<'_> {
    /// Whether the answer allows it: <https://fetch.spec.whatwg.org/#cors-preflight-fetch-0> step 7
    pub(super) fn check(&self, answer: &HeaderList) -> Result<(), &'static str> {
        // 7.1 to 7.3
        let malformed = "its answer is malformed";
        let methods = answer
            .tokens("access-control-allow-methods")
            .map_err(|()| malformed)?;
        let names = answer
            .tokens("access-control-allow-headers")
            .map_err(|()| malformed)?
            .unwrap_or_default();
        // 7.4
        let methods = match methods {
            None if self.use_preflight => vec![self.method.to_owned()],
            methods => methods.unwrap_or_default(),
        };
        let is_star = |list: &[String]| !self.with_credentials && list.iter().any(|it| it == "*");
        let lists = |name: &str| names.iter().any(|it| it.eq_ignore_ascii_case(name));
        // 7.5
        let method_allowed = methods.iter().any(|method| method == self.method)
            || is_cors_safelisted_method(self.method)
            || is_star(&methods);
        if !method_allowed {
            return Err("the method is not allowed");
        }
        // 7.6: https://fetch.spec.whatwg.org/#cors-non-wildcard-request-header-name
        if self.has_authorization && !lists("authorization") {
            return Err("the header 'Authorization' is not allowed");
        }
        // 7.7
        if is_star(&names) || self.unsafe_names.iter().all(|name| lists(name)) {
            Ok(())
        } else {
            Err("a header is not allowed")
        }
    }
}

/// Leaves what a script of another origin may see: <https://fetch.spec.whatwg.org/#concept-filtered-response-cors>
pub(super) fn filter(headers: &mut HeaderList, with_credentials: bool) {
    // https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name
    const SAFE: [&str; 7] = [
        "cache-control",
        "content-language",
        "content-length",
        "content-type",
        "expires",
        "last-modified",
        "pragma",
    ];
    let exposed = headers
        .tokens("access-control-expose-headers")
        .ok()
        .flatten()
        .unwrap_or_default();
    let all = !with_credentials && exposed.iter().any(|name| name == "*");
    headers.retain(|name| {
        let is_safe = SAFE.iter().any(|other| other.eq_ignore_ascii_case(name));
        let is_exposed = exposed.iter().any(|other| other.eq_ignore_ascii_case(name));
        !is_forbidden_response_header(name) && (all || is_safe || is_exposed)
    });
}

/// [Parse a referrer policy from a `Referrer-Policy` header][spec]: the last one that is known.
///
/// [spec]: https://w3c.github.io/webappsec-referrer-policy/#parse-referrer-policy-from-header
pub(super) fn referrer_policy(headers: &HeaderList) -> Option<ReferrerPolicy> {
    let tokens = headers.tokens("referrer-policy").ok().flatten()?;
    tokens
        .iter()
        .filter_map(|token| ReferrerPolicy::from_word(&token.to_ascii_lowercase()))
        .next_back()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fetch::header_list::tests::list;

    #[test]
    fn an_answer_is_shared_with_whom_it_names() {
        let allow = "Access-Control-Allow-Origin";
        let credentials = ("Access-Control-Allow-Credentials", "true");
        for (headers, plain, with_credentials) in [
            (&[][..], false, false),
            (&[(allow, "*")], true, false),
            (&[(allow, "*"), credentials], true, false),
            (&[(allow, "http://a")], true, false),
            (&[(allow, "http://a"), credentials], true, true),
            (&[(allow, "http://b")], false, false),
            (&[(allow, "http://a"), (allow, "http://a")], false, false),
        ] {
            let headers = list(headers);
            assert_eq!(is_shared(&headers, "http://a", false), plain, "{headers:?}");
            assert_eq!(
                is_shared(&headers, "http://a", true),
                with_credentials,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn a_preflight_asks_for_methods_and_headers() {
        let names = [String::from("x-a")];
        let asked = |method, with_credentials, has_authorization| Asked {
            method,
            has_authorization,
            unsafe_names: &names,
            with_credentials,
            use_preflight: false,
        };
        let methods = "Access-Control-Allow-Methods";
        let headers = "Access-Control-Allow-Headers";
        let all = list(&[(methods, "*"), (headers, "*")]);
        assert!(asked("PUT", false, false).check(&all).is_ok());
        assert!(asked("PUT", true, false).check(&all).is_err());
        assert!(asked("PUT", false, true).check(&all).is_err());
        let some = list(&[(methods, "x, PUT"), (headers, "y, X-A,authorization")]);
        assert!(asked("PUT", true, true).check(&some).is_ok());
        assert!(asked("put", true, true).check(&some).is_err());
        assert!(
            asked("POST", false, false)
                .check(&list(&[(headers, "x-a")]))
                .is_ok()
        );
        assert!(
            asked("POST", false, false)
                .check(&list(&[(headers, "x-b")]))
                .is_err()
        );
        assert!(
            asked("POST", false, false)
                .check(&list(&[(headers, "x a")]))
                .is_err()
        );
    }

    #[test]
    fn another_origin_sees_what_is_exposed() {
        let all = [
            ("X-A", "1"),
            ("X-B", "1"),
            ("Pragma", "1"),
            ("Set-Cookie", "1"),
        ];
        let expose = ("Access-Control-Expose-Headers", "x-a, set-cookie");
        let mut some = list(&all);
        some.append(expose.0, expose.1);
        filter(&mut some, false);
        let left: Vec<_> = some.iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["X-A", "Pragma"]);
    }
}
