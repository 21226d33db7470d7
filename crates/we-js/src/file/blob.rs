//! `Blob`: <https://w3c.github.io/FileAPI/#blob-section>

use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue, js_string,
    object::{
        JsObject,
        builtins::{JsArrayBuffer, JsPromise, JsUint8Array},
    },
};
use boa_gc::{Finalize, Trace};

use super::{AlignedBytes, BlobBuilder, BlobData, data::TooLarge, stream};
use crate::{
    binding::{
        self, BufferSource, Definition, Dictionary, IntegerConversion, Interface, NewTarget,
        PlatformObject, This, from_utf8, sequence, signed_integer, usv_string,
    },
    dom::{DomException, ErrorName},
    event_loop::{self, TaskSource},
};

/// The state of a `Blob`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct Blob {
    #[unsafe_ignore_trace]
    data: BlobData,
    kind: JsString,
}

impl Blob {
    /// A `Blob` object of these bytes, whose `type` is `kind`.
    pub(crate) fn object(
        data: impl Into<BlobData>,
        kind: JsString,
        context: &mut Context,
    ) -> JsResult<JsObject> {
        let root = Self {
            data: data.into(),
            kind,
        };
        Ok(binding::create::<Self>(root, context)?.object().clone())
    }

    /// The bytes, which any number of blobs and threads may share.
    pub(crate) fn data(&self) -> &BlobData {
        &self.data
    }

    /// `type`.
    pub(crate) fn kind(&self) -> &JsString {
        &self.kind
    }
}

impl PlatformObject for Blob {}

impl Interface for Blob {
    const NAME: &'static str = "Blob";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, construct);
        idl.readonly("size", |this, _| Ok(this.state().data.len()));
        idl.readonly("type", |this, _| Ok(this.state().kind.clone()));
        idl.operation("slice", 0, slice);
        idl.operation("stream", 0, |this, _, context| {
            let data = this.state().data.clone();
            stream::of_bytes(data, context)?.object(context)
        });
        idl.promise_operation("text", 0, |this, _, context| read(this, text, context));
        idl.promise_operation("arrayBuffer", 0, |this, _, context| {
            read(
                this,
                |bytes, context| Ok(array_buffer(bytes, context)?.into()),
                context,
            )
        });
        idl.promise_operation("bytes", 0, |this, _, context| {
            read(
                this,
                |bytes, context| {
                    let buffer = array_buffer(bytes, context)?;
                    Ok(JsUint8Array::from_array_buffer(buffer, context)?.into())
                },
                context,
            )
        });
        Ok(())
    }
}

/// `EndingType`: <https://w3c.github.io/FileAPI/#enumdef-endingtype>
#[derive(Clone, Copy, PartialEq, Eq)]
enum EndingType {
    Transparent,
    Native,
}

/// An element of `blobParts`.
enum BlobPart {
    Buffer(BufferSource),
    Blob(BlobData),
    String(String),
}

/// <https://w3c.github.io/FileAPI/#dom-blob-blob>
fn construct(
    new_target: &NewTarget<Blob>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let parts = match args.get_or_undefined(0) {
        value if value.is_undefined() => Vec::new(),
        value => sequence(value, context, BlobPart::from_value)?.ok_or_else(|| {
            JsNativeError::typ().with_message("Blob: argument 1 is not a sequence of parts")
        })?,
    };
    let options = Dictionary::new(args.get_or_undefined(1))?;
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
    let data = process(&parts, endings, memory_limit(context))
        .map_err(|error| JsNativeError::range().with_message(error.to_string()))?;
    event_loop::account_external(usize::try_from(data.len()).unwrap_or(usize::MAX), context);
    new_target.create(
        Blob {
            data,
            kind: normalize_type(&kind),
        },
        context,
    )
}

impl BlobPart {
    /// `(BufferSource or Blob or USVString)`, by <https://webidl.spec.whatwg.org/#js-union>
    fn from_value(value: JsValue, context: &mut Context) -> JsResult<Self> {
        if let Some(blob) = This::<Blob>::from_value(&value) {
            return Ok(Self::Blob(blob.state().data.clone()));
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
fn process(parts: &[BlobPart], endings: EndingType, limit: u64) -> Result<BlobData, TooLarge> {
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
fn normalize_type(kind: &JsString) -> JsString {
    match kind.to_std_string() {
        Ok(kind) if kind.bytes().all(|byte| matches!(byte, 0x20..=0x7E)) => {
            from_utf8(&kind.to_ascii_lowercase())
        }
        _ => js_string!(),
    }
}

/// [Slice blob](https://w3c.github.io/FileAPI/#slice-blob)
fn slice(this: &This<Blob>, args: &[JsValue], context: &mut Context) -> JsResult<JsObject> {
    let mut index = |argument: usize| match args.get_or_undefined(argument) {
        value if value.is_undefined() => Ok(None),
        value => signed_integer(value, 64, IntegerConversion::Clamp, context).map(Some),
    };
    let start = index(0)?;
    let end = index(1)?;
    let kind = match args.get_or_undefined(2) {
        value if value.is_undefined() => js_string!(),
        value => normalize_type(&value.to_string(context)?),
    };
    // 1.
    let size = this.state().data.len();
    // 2., 3. A negative position counts from the end.
    let position = |index: i64| match u64::try_from(index) {
        Ok(index) => index.min(size),
        Err(_) => size.saturating_sub(index.unsigned_abs()),
    };
    let start = start.map_or(0, position);
    let end = end.map_or(size, position);
    // 4. to 6.
    let data = this.state().data.slice(start..end);
    Blob::object(data, kind, context)
}

/// Reads all bytes and resolves a promise, in a task of the file reading task source, with what `package`
/// makes of them. The common steps of `text()`, `arrayBuffer()` and `bytes()`.
fn read(
    this: &This<Blob>,
    package: fn(&BlobData, &mut Context) -> JsResult<JsValue>,
    context: &mut Context,
) -> JsResult<JsPromise> {
    let (promise, resolvers) = JsPromise::new_pending(context);
    let data = this.state().data.clone();
    event_loop::queue_task(
        TaskSource::FileReading,
        move |context| {
            let settled = match package(&data, context) {
                Ok(value) => resolvers
                    .resolve
                    .call(&JsValue::undefined(), &[value], context),
                Err(error) => match error.into_opaque(context) {
                    Ok(reason) => resolvers
                        .reject
                        .call(&JsValue::undefined(), &[reason], context),
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = settled {
                tracing::debug!(target: "we::js", %error, "the promise of a Blob was not settled");
            }
        },
        context,
    )?;
    Ok(promise)
}

/// <https://w3c.github.io/FileAPI/#text-method-algo>: [UTF-8 decode], which drops a byte order mark.
///
/// [UTF-8 decode]: https://encoding.spec.whatwg.org/#utf-8-decode
fn text(data: &BlobData, context: &mut Context) -> JsResult<JsValue> {
    match data.contiguous(memory_limit(context)) {
        Ok(bytes) => {
            let (text, _) = encoding_rs::UTF_8.decode_with_bom_removal(&bytes);
            Ok(from_utf8(&text).into())
        }
        Err(error) => Err(not_readable(error, context)),
    }
}

/// <https://w3c.github.io/FileAPI/#arraybuffer-method-algo>
fn array_buffer(data: &BlobData, context: &mut Context) -> JsResult<JsArrayBuffer> {
    match data.to_aligned(memory_limit(context)) {
        Ok(bytes) => new_array_buffer(bytes, context),
        Err(error) => Err(not_readable(error, context)),
    }
}

fn new_array_buffer(bytes: AlignedBytes, context: &mut Context) -> JsResult<JsArrayBuffer> {
    event_loop::account_external(bytes.len(), context);
    JsArrayBuffer::from_byte_block(bytes, context)
}

/// The most bytes that a blob may copy into one piece of memory: what the embedder lets an ArrayBuffer have.
pub(super) fn memory_limit(context: &mut Context) -> u64 {
    let hooks = context.host_hooks();
    hooks.max_buffer_size(context)
}

/// <https://w3c.github.io/FileAPI/#dfn-error-codes>
pub(super) fn not_readable(error: TooLarge, context: &mut Context) -> boa_engine::JsError {
    DomException::error(
        ErrorName::NotReadable,
        &format!("{error} to be read into memory"),
        context,
    )
}

#[cfg(test)]
mod tests;
