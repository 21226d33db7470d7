//! `Blob`: <https://w3c.github.io/FileAPI/#blob-section>

use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue, js_string,
    object::{
        JsObject,
        builtins::{JsArrayBuffer, JsPromise, JsUint8Array},
    },
};
use boa_gc::{Finalize, Trace};

use super::{
    AlignedBytes, BlobData, File,
    data::TooLarge,
    parts::{self, BlobOptions, BlobPart},
    stream,
};
use crate::{
    binding::{
        self, Definition, Dictionary, IntegerConversion, Interface, NewTarget, PlatformObject,
        This, from_utf8, signed_integer,
    },
    dom::{DomException, ErrorName},
    event_loop::{self, TaskSource},
};

/// Native data of every blob, which may be a `File`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct BlobObject {
    pub(super) blob: Blob,
    pub(super) file: Option<File>,
}

impl PlatformObject for BlobObject {}

/// The state of a `Blob`.
#[derive(Trace, Finalize)]
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
        let data = data.into();
        let root = BlobObject {
            blob: Self { data, kind },
            file: None,
        };
        Ok(binding::create::<Self>(root, context)?.object().clone())
    }

    pub(super) fn new(data: BlobData, kind: JsString) -> Self {
        Self { data, kind }
    }

    /// The last steps of both constructors.
    pub(super) fn of_parts(
        parts: &[BlobPart],
        options: &BlobOptions,
        context: &mut Context,
    ) -> JsResult<Self> {
        let data = parts::process(parts, options.endings, memory_limit(context))
            .map_err(|error| JsNativeError::range().with_message(error.to_string()))?;
        let size = usize::try_from(data.len()).unwrap_or(usize::MAX);
        event_loop::account_external(size, context);
        let kind = parts::normalize_type(&options.kind);
        Ok(Self { data, kind })
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

impl Interface for Blob {
    const NAME: &'static str = "Blob";
    type Root = BlobObject;

    fn project(root: &BlobObject) -> Option<&Self> {
        Some(&root.blob)
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

/// <https://w3c.github.io/FileAPI/#dom-blob-blob>
fn construct(
    new_target: &NewTarget<Blob>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let parts = match args.get_or_undefined(0) {
        value if value.is_undefined() => Vec::new(),
        value => parts::from_sequence(value, context)?,
    };
    let options = Dictionary::new(args.get_or_undefined(1))?;
    let options = BlobOptions::from_dictionary(&options, context)?;
    let blob = Blob::of_parts(&parts, &options, context)?;
    new_target.create(BlobObject { blob, file: None }, context)
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
        value => parts::normalize_type(&value.to_string(context)?),
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
pub(super) fn array_buffer(data: &BlobData, context: &mut Context) -> JsResult<JsArrayBuffer> {
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
