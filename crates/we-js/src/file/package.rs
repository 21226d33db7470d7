//! The forms in which the bytes of a blob are read: <https://w3c.github.io/FileAPI/#packaging-data>

use base64::{Engine, engine::general_purpose::STANDARD};
use boa_engine::{Context, JsArgs, JsResult, JsString, JsValue, string::JsStr};
use encoding_rs::{Encoding, UTF_8};

use super::{
    Blob, BlobData,
    blob::{array_buffer, memory_limit, not_readable},
};
use crate::binding::{This, from_utf8, to_usv_string};

/// What is to be made of a blob's bytes.
pub(super) enum Package {
    ArrayBuffer,
    BinaryString,
    /// In the encoding of this label, if it is one.
    Text(Option<JsString>),
    DataUrl,
}

/// A blob that is to be read: everything that the reading depends on.
pub(super) struct Reading {
    data: BlobData,
    kind: JsString,
    package: Package,
}

impl Reading {
    /// Reads the arguments of a method that reads: the blob and, for a text, an encoding.
    pub(super) fn from_arguments(
        mut package: Package,
        args: &[JsValue],
        context: &mut Context,
    ) -> JsResult<Self> {
        let blob = This::<Blob>::from_value(args.get_or_undefined(0)).ok_or_else(|| {
            boa_engine::JsNativeError::typ().with_message("argument 1 is not a Blob")
        })?;
        if let (Package::Text(label), Some(value)) = (&mut package, args.get(1))
            && !value.is_undefined()
        {
            *label = Some(value.to_string(context)?);
        }
        let blob = blob.state();
        Ok(Self {
            data: blob.data().clone(),
            kind: blob.kind().clone(),
            package,
        })
    }

    /// The number of bytes.
    pub(super) fn size(&self) -> u64 {
        self.data.len()
    }

    /// [Package data](https://w3c.github.io/FileAPI/#blob-package-data)
    pub(super) fn package(&self, context: &mut Context) -> JsResult<JsValue> {
        if let Package::ArrayBuffer = self.package {
            return Ok(array_buffer(&self.data, context)?.into());
        }
        let bytes = match self.data.contiguous(memory_limit(context)) {
            Ok(bytes) => bytes,
            Err(error) => return Err(not_readable(error, context)),
        };
        let text = match &self.package {
            Package::BinaryString => JsString::from(JsStr::latin1(&bytes)),
            Package::DataUrl => {
                let kind = match self.kind.to_std_string_lossy() {
                    kind if kind.is_empty() => String::from("application/octet-stream"),
                    kind => kind,
                };
                let mut url = format!("data:{kind};base64,");
                STANDARD.encode_string(&bytes, &mut url);
                JsString::from(url.as_str())
            }
            Package::Text(label) => {
                let encoding = self.encoding(label.as_ref());
                // [Decode](https://encoding.spec.whatwg.org/#decode): a byte order mark outdoes the encoding.
                from_utf8(&encoding.decode(&bytes).0)
            }
            Package::ArrayBuffer => JsString::default(),
        };
        Ok(text.into())
    }

    /// The encoding of a text: the one asked for, else the type's, else UTF-8.
    fn encoding(&self, label: Option<&JsString>) -> &'static Encoding {
        let of_label = label.and_then(|label| Encoding::for_label(to_usv_string(label).as_bytes()));
        of_label
            .or_else(|| {
                let charset = charset(&self.kind.to_std_string_lossy())?;
                Encoding::for_label(charset.as_bytes())
            })
            .unwrap_or(UTF_8)
    }
}

/// The first parameter `charset` of a [MIME type](https://mimesniff.spec.whatwg.org/#parse-a-mime-type) that has one.
fn charset(kind: &str) -> Option<String> {
    let whitespace = ['\n', '\r', '\t', ' '];
    // 1. to 10.
    let (essence, mut rest) = kind.split_once(';')?;
    let (kind, subtype) = essence.split_once('/')?;
    if !is_token(kind.trim_start_matches(whitespace))
        || !is_token(subtype.trim_end_matches(whitespace))
    {
        return None;
    }
    // 11.
    loop {
        let after = rest.trim_start_matches(whitespace);
        let end = after.find([';', '='])?;
        let (name, tail) = after.split_at(end);
        let Some(value) = tail.strip_prefix('=') else {
            rest = tail.get(1..)?;
            continue;
        };
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted_string(quoted);
                (value, after.split_once(';').map(|(_, after)| after))
            }
            None => match value.split_once(';') {
                Some((value, after)) => (value.to_owned(), Some(after)),
                None => (value.to_owned(), None),
            },
        };
        // A value without quotes loses the white space after it; in quotes it counts, and no label has it.
        let value = value.trim_end_matches(whitespace);
        if name.eq_ignore_ascii_case("charset") && !value.is_empty() {
            return Some(value.to_owned());
        }
        rest = after?;
    }
}

/// [Collects an HTTP quoted string][spec] behind its opening quote: its value, and what follows the closing one.
///
/// [spec]: https://fetch.spec.whatwg.org/#collect-an-http-quoted-string
fn quoted_string(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => value.push(chars.next().unwrap_or('\\')),
            char => value.push(char),
        }
    }
    (value, chars.as_str())
}

/// [HTTP token code points](https://mimesniff.spec.whatwg.org/#http-token-code-point), at least one.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::charset;

    #[test]
    fn the_charset_of_a_mime_type() {
        for (kind, expected) in [
            ("text/plain;charset=utf-16le", Some("utf-16le")),
            (
                "text/plain ; a=b; ;x; charset=\"utf\\-8\" ;charset=x",
                Some("utf-8"),
            ),
            ("text/plain;a=\"x;charset=y\";charset=z", Some("z")),
            ("text/plain;charset=;charset=\"q", Some("q")),
            ("text/plain;charset=\"\\", Some("\\")),
            ("text/plain", None),
            ("text/plain;charset", None),
            ("charset=x", None),
            ("text;charset=x", None),
            ("te xt/plain;charset=x", None),
            ("", None),
        ] {
            assert_eq!(charset(kind).as_deref(), expected, "{kind}");
        }
    }
}
