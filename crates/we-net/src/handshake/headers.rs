//! Header fields: an ordered list of them, what a name and a value may hold, and comma-separated
//! lists.
//!
//! Follows [RFC 9110 section 5](https://www.rfc-editor.org/rfc/rfc9110#section-5). A [`Headers`]
//! list is valid by construction: a name is a token and a value has no control characters, so it
//! can be written out as it stands.

use std::fmt;

use super::error::HeaderError;

/// One header field.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: Vec<u8>,
}

impl Header {
    /// The name as it was written. Names are compared without regard to case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value without the white space around it. Mostly ASCII, but any byte from 0x80 on may be
    /// in it.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The value as text, byte by byte as Latin-1: how the web platform shows header values.
    pub fn value_text(&self) -> String {
        self.value.iter().copied().map(char::from).collect()
    }
}

impl fmt::Debug for Header {
    /// Shows the value only where it cannot be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
        ]
        .iter()
        .any(|name| self.name.eq_ignore_ascii_case(name));
        if secret {
            write!(f, "{}: …", self.name)
        } else {
            write!(f, "{}: {}", self.name, self.value.escape_ascii())
        }
    }
}

/// Writes a field as HTTP/1.1 has it.
pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Header fields in the order in which they stand in the message; a name may occur more than once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<Header>,
}

impl Headers {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field at the end. White space around the value is dropped.
    ///
    /// Fails if `name` is not a token or `value` has a control character (CR, LF and NUL above
    /// all).
    pub fn append(
        &mut self,
        name: impl Into<String>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), HeaderError> {
        let name = name.into();
        if !is_token(name.as_bytes()) {
            return Err(HeaderError::Name(name));
        }
        let value = value.as_ref().trim_ascii();
        if !value.iter().all(|byte| is_value_byte(*byte)) {
            return Err(HeaderError::Value(name));
        }
        self.fields.push(Header {
            name,
            value: value.to_vec(),
        });
        Ok(())
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.fields.iter()
    }

    /// The values of all fields called `name`, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| &*field.value)
    }

    /// The value of the field called `name`; `None` if there is none or more than one.
    pub fn single(&self, name: &str) -> Option<&[u8]> {
        match self.lookup(name) {
            Lookup::One(value) => Some(value),
            Lookup::None | Lookup::Many => None,
        }
    }

    /// Like [`single`](Self::single), telling none from more than one.
    pub(crate) fn lookup(&self, name: &str) -> Lookup<'_> {
        let mut values = self
            .fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (None, _) => Lookup::None,
            (Some(field), None) => Lookup::One(&field.value),
            (Some(_), Some(_)) => Lookup::Many,
        }
    }

    /// Whether some field called `name` lists `token`, compared without regard to case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.list(name)
            .any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The members of the comma-separated list that all fields called `name` make up together.
    pub(crate) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name).flat_map(list_items)
    }

    /// Removes all fields called `name`.
    pub(crate) fn remove(&mut self, name: &str) {
        self.fields
            .retain(|field| !field.name.eq_ignore_ascii_case(name));
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Writes each field as a line.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        for field in &self.fields {
            out.extend_from_slice(field.name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(&field.value);
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl Headers {
    /// For a `Debug` that must not show values.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.fields.iter().map(Header::name).collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.fields).finish()
    }
}

/// How often a header that may stand once stands in a message.
pub(crate) enum Lookup<'a> {
    None,
    One(&'a [u8]),
    Many,
}

/// Splits a list at its commas and drops the white space around the members and empty members.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2>
fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(|item| item.trim_ascii())
        .filter(|item| !item.is_empty())
}

/// Whether `bytes` is a token: what header names, subprotocols and extension names are made of.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>, `tchar`
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.5>, `field-vchar`, and the white space between
/// them
fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_could_break_a_line_is_refused() {
        let mut headers = Headers::new();
        for name in ["", "a b", "a:", "a\r\n", "a\0", "ü", "(x)"] {
            assert!(
                matches!(headers.append(name, "v"), Err(HeaderError::Name(_))),
                "{name:?}"
            );
        }
        for value in ["a\r\nX: 1", "a\nb", "a\rb", "a\0b", "\x7f", "\x1b[0m"] {
            assert!(
                matches!(headers.append("x", value), Err(HeaderError::Value(_))),
                "{value:?}"
            );
        }
        assert!(headers.is_empty());
    }

    #[test]
    fn names_are_compared_without_case_and_values_are_trimmed() {
        let mut headers = Headers::new();
        headers.append("X-One", " \tvalue ").unwrap();
        headers.append("Many", "1").unwrap();
        headers.append("many", b"\xe9").unwrap();
        assert_eq!(headers.single("x-one"), Some(&b"value"[..]));
        assert_eq!(headers.single("many"), None);
        assert_eq!(headers.single("none"), None);
        assert_eq!(headers.values("MANY").count(), 2);
        assert_eq!(headers.iter().nth(2).unwrap().value_text(), "é");
    }

    #[test]
    fn a_list_may_span_fields_and_have_empty_members() {
        let mut headers = Headers::new();
        headers
            .append("Connection", "keep-alive , ,Upgrade")
            .unwrap();
        headers.append("connection", ",,").unwrap();
        headers.append("CONNECTION", "x").unwrap();
        assert_eq!(
            headers.list("connection").collect::<Vec<_>>(),
            [&b"keep-alive"[..], b"Upgrade", b"x"]
        );
        assert!(headers.has_token("connection", "upgrade"));
        assert!(!headers.has_token("connection", "grade"));
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let mut headers = Headers::new();
        headers.append("Authorization", "Basic c2VjcmV0").unwrap();
        headers.append("Cookie", "c2VjcmV0").unwrap();
        headers.append("X", "shown").unwrap();
        let text = format!("{headers:?}");
        assert!(
            !text.contains("c2VjcmV0") && text.contains("shown"),
            "{text}"
        );
    }
}
