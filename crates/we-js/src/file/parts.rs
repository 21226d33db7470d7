//! What the constructors of `Blob` and `File` are given: parts and options.

use boa_engine::{Context, JsNativeError, JsResult, JsString, JsValue, js_string};

use super::{Blob, BlobBuilder, BlobData, data::TooLarge};
use crate::binding::{BufferSource, Dictionary, This, from_utf8, sequence, usv_string};

/// `BlobPropertyBag`: <https://w3c.github.io/FileAPI/#dfn-BlobPropertyBag>
pub(super) struct BlobOptions {
    pub(super) endings: EndingType,
    pub(super) kind: JsString,
}

impl BlobOptions {
    pub(super) fn from_dictionary(options: &Dictionary, context: &mut Context) -> JsResult<Self> {
        let endings = match options.string("endings", context)? {
            None => EndingType::Transparent,
            Some(endings) if endings == js_string!("transparent") => EndingType::Transparent,
            Some(endings) if endings == js_string!("native") => EndingType::Native,
            Some(_) => {
                return Err(JsNativeError::typ()
                    .with_message("endings is neither 'transparent' nor 'native'")
                    .into());
            }
        };
        let kind = options.string("type", context)?.unwrap_or_default();
        Ok(Self { endings, kind })
    }
}

/// `EndingType`: <https://w3c.github.io/FileAPI/#enumdef-endingtype>
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EndingType {
    Transparent,
    Native,
}

/// An element of `blobParts`.
pub(super) enum BlobPart {
    Buffer(BufferSource),
    Blob(BlobData),
    String(String),
}

/// `sequence<BlobPart>`
pub(super) fn from_sequence(value: &JsValue, context: &mut Context) -> JsResult<Vec<BlobPart>> {
    let parts = sequence(value, context, BlobPart::from_value)?;
    Ok(parts.ok_or_else(|| {
        JsNativeError::typ().with_message("argument 1 is not a sequence of parts")
    })?)
}

impl BlobPart {
    /// `(BufferSource or Blob or USVString)`, by <https://webidl.spec.whatwg.org/#js-union>
    fn from_value(value: JsValue, context: &mut Context) -> JsResult<Self> {
        if let Some(blob) = This::<Blob>::from_value(&value) {
            return Ok(Self::Blob(blob.state().data().clone()));
        }
        if let Some(buffer) = BufferSource::from_value(&value, context) {
            // Neither `[AllowShared]` nor `[AllowResizable]`: a view on such a buffer and a resizable buffer are
            // refused. A shared buffer itself is no type of the union, and becomes a string as any object.
            if !buffer.is_shared() || buffer.view_kind().is_some() {
                buffer.require_plain(context)?;
                return Ok(Self::Buffer(buffer));
            }
        }
        Ok(Self::String(usv_string(&value, context)?))
    }
}

/// [Process blob parts](https://w3c.github.io/FileAPI/#process-blob-parts)
pub(super) fn process(
    parts: &[BlobPart],
    endings: EndingType,
    limit: u64,
) -> Result<BlobData, TooLarge> {
    let mut bytes = BlobBuilder::new(limit);
    for part in parts {
        match part {
            BlobPart::String(text) if endings == EndingType::Native => {
                bytes.push(with_native_line_endings(text).as_bytes())?;
            }
            BlobPart::String(text) => bytes.push(text.as_bytes())?,
            BlobPart::Buffer(buffer) => buffer.with_bytes(|content| bytes.push(content))?,
            BlobPart::Blob(data) => bytes.push_data(data)?,
        }
    }
    bytes.finish()
}

/// [Convert line endings to native](https://w3c.github.io/FileAPI/#convert-line-endings-to-native)
fn with_native_line_endings(text: &str) -> String {
    // 1., 2.
    let native = if cfg!(windows) { "\r\n" } else { "\n" };
    // 3. to 6. A CR, with the LF that may follow it, or an LF alone.
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((line, after)) = rest.split_once(['\r', '\n']) {
        let ended_by_cr = rest.as_bytes().get(line.len()) == Some(&b'\r');
        result.push_str(line);
        result.push_str(native);
        rest = if ended_by_cr {
            after.strip_prefix('\n').unwrap_or(after)
        } else {
            after
        };
    }
    result.push_str(rest);
    result
}

/// `type` in lower case, or nothing if it has characters outside U+0020 to U+007E.
/// <https://w3c.github.io/FileAPI/#dom-blob-type>
pub(super) fn normalize_type(kind: &JsString) -> JsString {
    match kind.to_std_string() {
        Ok(kind) if kind.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) => {
            from_utf8(&kind.to_ascii_lowercase())
        }
        _ => js_string!(),
    }
}
