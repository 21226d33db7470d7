//! The `Sec-WebSocket-Extensions` header: its grammar, read in one pass over the bytes and in
//! bounded memory.
//!
//! Follows [RFC 6455 section 9.1](https://www.rfc-editor.org/rfc/rfc6455#section-9.1). What an
//! extension's parameters mean is for the extension itself to say; here a list is only taken apart,
//! and put together again.

use std::fmt;

use super::headers::{is_token, is_token_byte};

/// More offers or parameters than any client sends; a longer list fails rather than grows.
const MAX_ELEMENTS: usize = 64;

/// One extension as a header lists it: an offer in a request, an acceptance in a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionHeader {
    name: String,
    params: Vec<ExtensionParam>,
}

/// A parameter of an extension: a name and perhaps a value, both tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionParam {
    name: String,
    value: Option<String>,
}

/// Why an extension list cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// A name, or a value once unquoted, is not a token.
    #[error("a name or value in it is empty or has a character that a token cannot have")]
    NotAToken,
    /// A quoted string has no end.
    #[error("a quoted string in it does not end")]
    Unterminated,
    /// Something follows that is none of `,`, `;` and `=`.
    #[error("it has a character where `,`, `;` or `=` should be")]
    Separator,
    /// More than 64 extensions and parameters.
    #[error("it lists more than {MAX_ELEMENTS} extensions and parameters")]
    TooMany,
}

impl ExtensionHeader {
    /// An extension without parameters. Fails if `name` is not a token.
    pub fn new(name: impl Into<String>) -> Result<Self, ExtensionError> {
        let name = name.into();
        if !is_token(name.as_bytes()) {
            return Err(ExtensionError::NotAToken);
        }
        Ok(Self {
            name,
            params: Vec::new(),
        })
    }

    /// An extension whose name is known to be a token.
    pub(super) fn of(name: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            params: Vec::new(),
        }
    }

    /// Adds a parameter whose name is known to be a token.
    pub(super) fn push(&mut self, name: &'static str, value: Option<u8>) {
        self.params.push(ExtensionParam {
            name: name.to_owned(),
            value: value.map(|value| value.to_string()),
        });
    }

    /// Adds a parameter. Fails if `name` or `value` is not a token.
    pub fn with_param(
        mut self,
        name: impl Into<String>,
        value: Option<&str>,
    ) -> Result<Self, ExtensionError> {
        let name = name.into();
        if !is_token(name.as_bytes()) || value.is_some_and(|value| !is_token(value.as_bytes())) {
            return Err(ExtensionError::NotAToken);
        }
        self.params.push(ExtensionParam {
            name,
            value: value.map(str::to_owned),
        });
        Ok(self)
    }

    /// The registered name, such as `permessage-deflate`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameters in order. Repeated ones are kept: whether that is an error is for the
    /// extension to say.
    pub fn params(&self) -> &[ExtensionParam] {
        &self.params
    }

    /// Reads the list that the values of all `Sec-WebSocket-Extensions` headers of a message make
    /// up together.
    ///
    /// Empty members are skipped, as in every list of HTTP. Takes time linear in the length of the
    /// values.
    pub fn parse_list<'a>(
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<Self>, ExtensionError> {
        let mut list = Vec::new();
        let mut elements = 0;
        for value in values {
            Parser {
                rest: value,
                elements: &mut elements,
            }
            .list(&mut list)?;
        }
        Ok(list)
    }

    /// Writes `list` as a header value.
    pub fn format_list(list: &[Self]) -> String {
        list.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl ExtensionParam {
    /// The parameter's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameter's value, without quotes if it had some.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl fmt::Display for ExtensionHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for param in &self.params {
            write!(f, "; {}", param.name)?;
            if let Some(value) = &param.value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// Reads one header value from left to right; every method takes what it reads off `rest`.
struct Parser<'a, 'n> {
    rest: &'a [u8],
    /// Extensions and parameters so far, over all values.
    elements: &'n mut usize,
}

impl Parser<'_, '_> {
    /// `extension-list = 1#extension`
    fn list(mut self, list: &mut Vec<ExtensionHeader>) -> Result<(), ExtensionError> {
        loop {
            self.skip_space();
            match self.rest.first() {
                None => return Ok(()),
                Some(b',') => self.advance(1),
                Some(_) => {
                    list.push(self.extension()?);
                    match self.rest.first() {
                        None | Some(b',') => {}
                        Some(_) => return Err(ExtensionError::Separator),
                    }
                }
            }
        }
    }

    /// `extension = extension-token *( ";" extension-param )`
    fn extension(&mut self) -> Result<ExtensionHeader, ExtensionError> {
        let mut extension = ExtensionHeader {
            name: self.element()?,
            params: Vec::new(),
        };
        while self.separator(b';') {
            extension.params.push(self.param()?);
        }
        Ok(extension)
    }

    /// `extension-param = token [ "=" (token | quoted-string) ]`
    fn param(&mut self) -> Result<ExtensionParam, ExtensionError> {
        let name = self.element()?;
        let value = if !self.separator(b'=') {
            None
        } else if self.rest.first() == Some(&b'"') {
            Some(self.quoted()?)
        } else {
            Some(self.token()?)
        };
        self.skip_space();
        Ok(ExtensionParam { name, value })
    }

    /// A token that counts against the limit.
    fn element(&mut self) -> Result<String, ExtensionError> {
        *self.elements += 1;
        if *self.elements > MAX_ELEMENTS {
            return Err(ExtensionError::TooMany);
        }
        self.token()
    }

    fn token(&mut self) -> Result<String, ExtensionError> {
        let length = self
            .rest
            .iter()
            .take_while(|byte| is_token_byte(**byte))
            .count();
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        if token.is_empty() {
            return Err(ExtensionError::NotAToken);
        }
        // A token is ASCII.
        Ok(token.iter().copied().map(char::from).collect())
    }

    /// A quoted string, whose content must be a token once the backslashes are taken out.
    fn quoted(&mut self) -> Result<String, ExtensionError> {
        self.advance(1);
        let mut content = String::new();
        loop {
            let byte = match self.rest {
                [b'"', ..] => {
                    self.advance(1);
                    return if content.is_empty() {
                        Err(ExtensionError::NotAToken)
                    } else {
                        Ok(content)
                    };
                }
                [b'\\', escaped, ..] => {
                    self.advance(2);
                    *escaped
                }
                [b'\\'] | [] => return Err(ExtensionError::Unterminated),
                [byte, ..] => {
                    self.advance(1);
                    *byte
                }
            };
            if !is_token_byte(byte) {
                return Err(ExtensionError::NotAToken);
            }
            content.push(char::from(byte));
        }
    }

    /// Takes `separator` and the white space around it, if it comes next.
    fn separator(&mut self, separator: u8) -> bool {
        self.skip_space();
        let found = self.rest.first() == Some(&separator);
        if found {
            self.advance(1);
            self.skip_space();
        }
        found
    }

    fn skip_space(&mut self) {
        let length = self
            .rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        self.advance(length);
    }

    fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(value: &str) -> Result<String, ExtensionError> {
        ExtensionHeader::parse_list([value.as_bytes()])
            .map(|list| ExtensionHeader::format_list(&list))
    }

    #[test]
    fn lists_are_taken_apart_and_put_together() {
        for (value, formatted) in [
            ("", ""),
            (" , ,", ""),
            ("foo", "foo"),
            ("foo,bar", "foo, bar"),
            ("foo ; a ;b = 1; c=\"2\" , bar", "foo; a; b=1; c=2, bar"),
            ("a; b=\"\\c\\d\"", "a; b=cd"),
            (
                "permessage-deflate; client_max_window_bits, permessage-deflate",
                "permessage-deflate; client_max_window_bits, permessage-deflate",
            ),
            // Names that are properties of every object in some languages are names like any other.
            (
                "constructor; __proto__=toString",
                "constructor; __proto__=toString",
            ),
            ("a; b; b=1", "a; b; b=1"),
        ] {
            assert_eq!(parse(value).as_deref(), Ok(formatted), "{value}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_allow_fails() {
        use ExtensionError::*;
        for (value, error) in [
            (";", NotAToken),
            ("a;", NotAToken),
            ("a;;b", NotAToken),
            ("a; =1", NotAToken),
            ("a; b=", NotAToken),
            ("a; b=,", NotAToken),
            ("a; b=\"\"", NotAToken),
            ("a; b=\"x y\"", NotAToken),
            ("a; b=\"\\\"\"", NotAToken),
            ("\"a\"", NotAToken),
            ("a; b=\"x", Unterminated),
            ("a; b=\"x\\", Unterminated),
            ("a b", Separator),
            ("a=b", Separator),
            ("a; b=\"x\"y", Separator),
            ("a; b=c=d", Separator),
            ("ä", NotAToken),
        ] {
            assert_eq!(parse(value), Err(error), "{value}");
        }
    }

    #[test]
    fn several_header_lines_are_one_list() {
        let list = ExtensionHeader::parse_list([&b"a; x"[..], b"", b"b"]).unwrap();
        assert_eq!(ExtensionHeader::format_list(&list), "a; x, b");
    }

    #[test]
    fn an_endless_list_is_cut_short() {
        assert!(parse(&"a,".repeat(MAX_ELEMENTS)).is_ok());
        assert_eq!(
            parse(&"a,".repeat(MAX_ELEMENTS + 1)),
            Err(ExtensionError::TooMany)
        );
        assert_eq!(
            parse(&format!("a{}", ";b=1".repeat(5_000))),
            Err(ExtensionError::TooMany)
        );
    }

    #[test]
    fn an_unclosed_string_of_escapes_takes_linear_time() {
        // With the backtracking pattern of CVE-2020-7662 this takes longer than anyone waits.
        let value = format!("a; b=\"{}", "\\c".repeat(500_000));
        assert_eq!(parse(&value), Err(ExtensionError::Unterminated));
    }

    #[test]
    fn only_tokens_can_be_written() {
        assert!(ExtensionHeader::new("a\r\nX: 1").is_err());
        assert!(ExtensionHeader::new("").is_err());
        let ok = ExtensionHeader::new("a").unwrap();
        assert!(ok.clone().with_param("b", Some("1\r\n")).is_err());
        assert!(ok.clone().with_param("b c", None).is_err());
        let ok = ok.with_param("b", Some("1")).unwrap();
        assert_eq!(ok.to_string(), "a; b=1");
        assert_eq!(
            (ok.params()[0].name(), ok.params()[0].value()),
            ("b", Some("1"))
        );
    }
}
