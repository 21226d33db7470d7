//! Header lists and what the standard says of names and values: <https://fetch.spec.whatwg.org/#concept-header-list>

use std::{cell::RefCell, rc::Rc};

use data_url::mime::Mime;
use we_net::handshake;

/// A [header list](https://fetch.spec.whatwg.org/#concept-header-list). Names keep the case in which they were first
/// written, and are compared without regard to it.
#[derive(Clone, Debug, Default)]
pub(super) struct HeaderList {
    headers: Vec<Header>,
    /// What [`sort_and_combine`](Self::sort_and_combine) has made of them, until they change.
    sorted: RefCell<Option<Sorted>>,
}

/// A name and a value.
type Header = (String, Vec<u8>);

/// Headers as they are iterated over.
pub(super) type Sorted = Rc<[Header]>;

impl HeaderList {
    /// The headers, to be changed.
    fn change(&mut self) -> &mut Vec<Header> {
        self.sorted.take();
        &mut self.headers
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    /// [Get](https://fetch.spec.whatwg.org/#concept-header-list-get): the values, combined.
    pub(super) fn get(&self, name: &str) -> Option<Vec<u8>> {
        let values: Vec<_> = self.values(name).collect();
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }

    /// [Get, decode, and split](https://fetch.spec.whatwg.org/#concept-header-list-get-decode-split)
    pub(super) fn get_split(&self, name: &str) -> Option<Vec<String>> {
        self.get(name).map(|value| split(&value))
    }

    /// [Append](https://fetch.spec.whatwg.org/#concept-header-list-append)
    pub(super) fn append(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        let first = self
            .headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        let name = first.map_or(name, |(name, _)| name).to_owned();
        self.change().push((name, value.into()));
    }

    /// [Delete](https://fetch.spec.whatwg.org/#concept-header-list-delete)
    pub(super) fn delete(&mut self, name: &str) {
        self.change()
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// [Set](https://fetch.spec.whatwg.org/#concept-header-list-set)
    pub(super) fn set(&mut self, name: &str, value: Vec<u8>) {
        let is_name = |(other, _): &(String, Vec<u8>)| other.eq_ignore_ascii_case(name);
        let headers = self.change();
        let Some(first) = headers.iter().position(is_name) else {
            headers.push((name.to_owned(), value));
            return;
        };
        let mut index = 0;
        headers.retain(|header| {
            let keep = index <= first || !is_name(header);
            index += 1;
            keep
        });
        if let Some(header) = headers.get_mut(first) {
            header.1 = value;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.change().retain(|(name, _)| keep(name));
    }

    /// [Sort and combine](https://fetch.spec.whatwg.org/#concept-header-list-sort-and-combine)
    pub(super) fn sort_and_combine(&self) -> Sorted {
        let mut sorted = self.sorted.borrow_mut();
        sorted
            .get_or_insert_with(|| self.sorted_anew().into())
            .clone()
    }

    fn sorted_anew(&self) -> Vec<Header> {
        let mut sorted: Vec<(String, &[u8])> = self
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        // Stable: values of one name stay in their order.
        sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut headers: Vec<Header> = Vec::with_capacity(sorted.len());
        for (name, value) in sorted {
            match headers.last_mut() {
                Some((last, combined)) if *last == name && name != "set-cookie" => {
                    combined.extend_from_slice(b", ");
                    combined.extend_from_slice(value);
                }
                _ => headers.push((name, value.to_vec())),
            }
        }
        headers
    }

    /// The values of all `Set-Cookie` headers.
    pub(super) fn set_cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.values("set-cookie")
    }

    /// [Extract header list values](https://fetch.spec.whatwg.org/#extract-header-list-values) of a header that is a list
    /// of tokens: `Ok(None)` if it is missing.
    #[allow(clippy::result_unit_err, reason = "the standard's failure")]
    pub(super) fn tokens(&self, name: &str) -> Result<Option<Vec<String>>, ()> {
        let mut tokens = Vec::new();
        if !self.contains(name) {
            return Ok(None);
        }
        for value in self.values(name) {
            for item in value.split(|byte| *byte == b',') {
                let item = item.trim_ascii();
                if item.is_empty() {
                    continue;
                }
                tokens.push(token(item).ok_or(())?);
            }
        }
        Ok(Some(tokens))
    }

    /// [Extract a MIME type](https://fetch.spec.whatwg.org/#concept-header-extract-mime-type)
    pub(super) fn mime_type(&self) -> Option<Mime> {
        let mut found: Option<Mime> = None;
        let mut charset: Option<String> = None;
        for value in self.get_split("content-type")? {
            let Ok(mut mime) = value.parse::<Mime>() else {
                continue;
            };
            if mime.type_ == "*" && mime.subtype == "*" {
                continue;
            }
            let own = mime.get_parameter("charset").map(ToOwned::to_owned);
            let same = found
                .as_ref()
                .is_some_and(|before| before.matches(&mime.type_, &mime.subtype));
            if !same {
                charset = own;
            } else if own.is_none()
                && let Some(charset) = &charset
            {
                mime.parameters
                    .push((String::from("charset"), charset.clone()));
            }
            found = Some(mime);
        }
        found
    }
}

/// What a server has sent.
impl From<&handshake::Headers> for HeaderList {
    fn from(headers: &handshake::Headers) -> Self {
        let mut list = Self::default();
        for header in headers.iter() {
            list.append(header.name(), header.value());
        }
        list
    }
}

/// Splits at the commas that are not within quotes.
/// <https://fetch.spec.whatwg.org/#header-value-get-decode-and-split>
fn split(value: &[u8]) -> Vec<String> {
    let text: String = value.iter().copied().map(char::from).collect();
    let mut values = Vec::new();
    let mut current = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            ',' => values.push(std::mem::take(&mut current)),
            '"' => {
                current.push('"');
                while let Some(quoted) = chars.next() {
                    current.push(quoted);
                    match quoted {
                        '"' => break,
                        '\\' => current.extend(chars.next()),
                        _ => {}
                    }
                }
            }
            char => current.push(char),
        }
    }
    values.push(current);
    values
        .iter()
        .map(|value| value.trim_matches([' ', '\t']).to_owned())
        .collect()
}

/// The bytes as a [token](https://httpwg.org/specs/rfc9110.html#tokens), which [header names] and methods are.
///
/// [header names]: https://fetch.spec.whatwg.org/#header-name
pub(super) fn token(bytes: &[u8]) -> Option<String> {
    let is_token = !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
    is_token.then(|| String::from_utf8_lossy(bytes).into_owned())
}

/// [Normalize](https://fetch.spec.whatwg.org/#concept-header-value-normalize) a value: no white space around it.
pub(super) fn normalize(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' ');
    let start = value.iter().position(|byte| !is_space(byte));
    let end = value.iter().rposition(|byte| !is_space(byte));
    match (start, end) {
        (Some(start), Some(end)) => value.get(start..=end).unwrap_or_default(),
        _ => &[],
    }
}

/// Whether a normalized value is a [header value](https://fetch.spec.whatwg.org/#header-value).
pub(super) fn is_value(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r'))
}

/// [Forbidden methods](https://fetch.spec.whatwg.org/#forbidden-method)
pub(super) fn is_forbidden_method(method: &str) -> bool {
    ["CONNECT", "TRACE", "TRACK"]
        .iter()
        .any(|forbidden| forbidden.eq_ignore_ascii_case(method))
}

/// [Forbidden request-headers](https://fetch.spec.whatwg.org/#forbidden-request-header)
pub(super) fn is_forbidden_request_header(name: &str, value: &[u8]) -> bool {
    const NAMES: [&str; 21] = [
        "accept-charset",
        "accept-encoding",
        "access-control-request-headers",
        "access-control-request-method",
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    let name = name.to_ascii_lowercase();
    match &*name {
        "x-http-method" | "x-http-method-override" | "x-method-override" => split(value)
            .iter()
            .any(|method| is_forbidden_method(method)),
        name => NAMES.contains(&name) || name.starts_with("proxy-") || name.starts_with("sec-"),
    }
}

/// [Forbidden response-header names](https://fetch.spec.whatwg.org/#forbidden-response-header-name)
pub(super) fn is_forbidden_response_header(name: &str) -> bool {
    name.eq_ignore_ascii_case("set-cookie") || name.eq_ignore_ascii_case("set-cookie2")
}

/// [No-CORS-safelisted request-header names](https://fetch.spec.whatwg.org/#no-cors-safelisted-request-header-name)
pub(super) fn is_no_cors_safelisted_name(name: &str) -> bool {
    [
        "accept",
        "accept-language",
        "content-language",
        "content-type",
    ]
    .iter()
    .any(|safe| safe.eq_ignore_ascii_case(name))
}

/// [No-CORS-safelisted request-headers](https://fetch.spec.whatwg.org/#no-cors-safelisted-request-header)
pub(super) fn is_no_cors_safelisted(name: &str, value: &[u8]) -> bool {
    is_no_cors_safelisted_name(name) && is_cors_safelisted(name, value)
}

/// [CORS-safelisted request-headers](https://fetch.spec.whatwg.org/#cors-safelisted-request-header)
pub(super) fn is_cors_safelisted(name: &str, value: &[u8]) -> bool {
    if value.len() > 128 {
        return false;
    }
    match &*name.to_ascii_lowercase() {
        "accept" => !value.iter().copied().any(is_cors_unsafe_byte),
        "accept-language" | "content-language" => value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b" *,-.;=".contains(byte)),
        "content-type" => {
            let text = String::from_utf8_lossy(value);
            !value.iter().copied().any(is_cors_unsafe_byte)
                && text.parse::<Mime>().is_ok_and(|mime| {
                    mime.matches("application", "x-www-form-urlencoded")
                        || mime.matches("multipart", "form-data")
                        || mime.matches("text", "plain")
                })
        }
        "range" => is_simple_range(value),
        _ => false,
    }
}

/// [CORS-unsafe request-header bytes](https://fetch.spec.whatwg.org/#cors-unsafe-request-header-byte)
fn is_cors_unsafe_byte(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || b"\"():<>?@[\\]{}\x7f".contains(&byte)
}

/// Whether this is a single range with a beginning, as media elements send it.
fn is_simple_range(value: &[u8]) -> bool {
    parse_range(value).is_some_and(|(first, _)| first.is_some())
}

/// [Parse a single range header value](https://fetch.spec.whatwg.org/#simple-range-header-value), without white space.
pub(super) fn parse_range(value: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let text = std::str::from_utf8(value).ok()?;
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        _ if !text.bytes().all(|byte| byte.is_ascii_digit()) => None,
        // More than any blob has.
        _ => Some(Some(text.parse::<u64>().unwrap_or(u64::MAX))),
    };
    match (number(first)?, number(last)?) {
        (None, None) => None,
        (Some(first), Some(last)) if first > last => None,
        range => Some(range),
    }
}

/// [CORS-unsafe request-header names](https://fetch.spec.whatwg.org/#cors-unsafe-request-header-names), sorted
pub(super) fn cors_unsafe_names(list: &HeaderList) -> Vec<String> {
    let mut unsafe_names = Vec::new();
    let mut potentially_unsafe = Vec::new();
    let mut safe_size = 0;
    for (name, value) in list.iter() {
        let lowered = name.to_ascii_lowercase();
        if is_cors_safelisted(name, value) {
            potentially_unsafe.push(lowered);
            safe_size += value.len();
        } else {
            unsafe_names.push(lowered);
        }
    }
    if safe_size > 1024 {
        unsafe_names.append(&mut potentially_unsafe);
    }
    unsafe_names.sort_unstable();
    unsafe_names.dedup();
    unsafe_names
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(in crate::fetch) fn list(headers: &[(&str, &str)]) -> HeaderList {
        let mut list = HeaderList::default();
        for (name, value) in headers {
            list.append(name, *value);
        }
        list
    }

    #[test]
    fn commas_in_quotes_do_not_split() {
        let list = list(&[("a", "x, \"y,\\\",z\" ;b ,"), ("A", "\"open,")]);
        let expected = ["x", "\"y,\\\",z\" ;b", "", "\"open,"];
        assert_eq!(list.get_split("a").unwrap(), expected);
        assert_eq!(list.get_split("b"), None);
    }

    #[test]
    fn the_last_type_counts_and_keeps_a_charset() {
        for (values, expected) in [
            (
                &["text/html;charset=a", "text/html;b=c"][..],
                "text/html;b=c;charset=a",
            ),
            (&["text/html;charset=a", "text/plain"], "text/plain"),
            (&["text/html", "bad", "*/*"], "text/html"),
        ] {
            let headers: Vec<_> = values
                .iter()
                .map(|value| ("Content-Type", *value))
                .collect();
            assert_eq!(list(&headers).mime_type().unwrap().to_string(), expected);
        }
        assert!(list(&[("content-type", "bad")]).mime_type().is_none());
    }

    #[test]
    fn to_set_keeps_the_place_and_removes_the_others() {
        let mut list = list(&[("A", "1"), ("b", "2"), ("a", "3")]);
        list.set("a", b"4".to_vec());
        let headers: Vec<_> = list.iter().collect();
        assert_eq!(headers, [("A", &b"4"[..]), ("b", b"2")]);
    }

    #[test]
    fn headers_are_sorted_again_only_after_a_change() {
        let changes: [fn(&mut HeaderList); 4] = [
            |list| list.append("c", "3"),
            |list| list.set("B", b"4".to_vec()),
            |list| list.delete("a"),
            |list| list.retain(|name| name != "b"),
        ];
        let mut list = list(&[("b", "1"), ("a", "2")]);
        for change in changes {
            let before = list.sort_and_combine();
            assert!(Rc::ptr_eq(&before, &list.sort_and_combine()));
            change(&mut list);
            assert_ne!(before, list.sort_and_combine());
        }
        assert_eq!(
            *list.sort_and_combine(),
            [(String::from("c"), b"3".to_vec())]
        );
    }

    #[test]
    fn which_headers_need_a_preflight() {
        let long = "x".repeat(129);
        let headers = [
            ("Accept", "*/*"),
            ("Accept", "("),
            ("accept-language", "de;q=0.5"),
            ("Content-Type", "text/plain;charset=x"),
            ("Range", "bytes=0-"),
            ("X-B", "1"),
            ("content-language", &long),
        ];
        let names = cors_unsafe_names(&list(&headers));
        assert_eq!(names, ["accept", "content-language", "x-b"]);
        for value in ["bytes=-1", "bytes=2-1", "bytes=1-2,3-4", "x=1-"] {
            assert!(!is_cors_safelisted("range", value.as_bytes()), "{value}");
        }
        let many: Vec<_> = (0..9).map(|_| ("accept", &long[..128])).collect();
        assert_eq!(cors_unsafe_names(&list(&many)), ["accept"]);
    }

    #[test]
    fn what_scripts_may_not_send() {
        for (name, value, forbidden) in [
            ("HOST", "", true),
            ("Sec-x", "", true),
            ("X-HTTP-Method", "get, trace", true),
            ("X-HTTP-Method", "get", false),
            ("User-Agent", "", false),
        ] {
            let is_forbidden = is_forbidden_request_header(name, value.as_bytes());
            assert_eq!(is_forbidden, forbidden, "{name}");
        }
    }
}
