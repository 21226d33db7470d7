//! Bodies, and the mixin that requests and responses have in common: <https://fetch.spec.whatwg.org/#body-mixin>

use aligned_vec::AVec;
use boa_engine::{
    Context, JsError, JsNativeError, JsResult, JsString, JsValue,
    object::{
        JsObject,
        builtins::{AlignedVec, JsArrayBuffer, JsPromise, JsUint8Array},
    },
};
use boa_gc::{Finalize, Trace};
use data_url::mime::Mime;

use crate::{
    binding::{
        BufferSource, Definition, Interface, Primordials, Promise, This, TooLong, decode_utf8,
        encode_utf8, from_utf8, thrown,
    },
    event_loop,
    file::{self, Blob, BlobData},
    streams::ReadableStream,
    url::UrlSearchParams,
};

/// A [body](https://fetch.spec.whatwg.org/#concept-body).
#[derive(Clone, Trace, Finalize)]
#[boa_gc(unsafe_no_drop)]
pub(super) struct Body {
    pub(super) stream: ReadableStream,
    /// The bytes that the stream was made of, by which a request can be repeated.
    #[unsafe_ignore_trace]
    pub(super) source: Option<BlobData>,
}

impl Body {
    /// A body of these bytes.
    pub(super) fn of_bytes(bytes: impl Into<BlobData>, context: &mut Context) -> JsResult<Self> {
        let data = bytes.into();
        Ok(Self {
            stream: file::of_bytes(data.clone(), context)?,
            source: Some(data),
        })
    }

    /// [Unusable](https://fetch.spec.whatwg.org/#body-unusable)
    pub(super) fn is_unusable(&self) -> bool {
        self.stream.is_disturbed() || self.stream.is_locked()
    }

    /// [Clone](https://fetch.spec.whatwg.org/#concept-body-clone): what takes this body's place, and the clone.
    pub(super) fn tee(&self, context: &mut Context) -> JsResult<[Self; 2]> {
        let branches = self.stream.tee_copying(context)?;
        Ok(branches.map(|stream| Self {
            stream,
            source: self.source.clone(),
        }))
    }
}

/// A value of the type `BodyInit`.
pub(super) enum BodyInit {
    Stream(This<ReadableStream>),
    Blob(This<Blob>),
    Buffer(BufferSource),
    Params(This<UrlSearchParams>),
    Text(JsString),
}

impl BodyInit {
    /// The conversion of `BodyInit?`: null and undefined are none.
    pub(super) fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Option<Self>> {
        if value.is_null_or_undefined() {
            return Ok(None);
        }
        if let Some(stream) = This::from_value(value) {
            return Ok(Some(Self::Stream(stream)));
        }
        if let Some(blob) = This::from_value(value) {
            return Ok(Some(Self::Blob(blob)));
        }
        if let Some(params) = This::from_value(value) {
            return Ok(Some(Self::Params(params)));
        }
        // A SharedArrayBuffer is no BufferSource, but a view on one is refused.
        if let Some(buffer) = BufferSource::from_value(value, context)
            && !(buffer.is_shared() && buffer.view_kind().is_none())
        {
            buffer.require_plain(context)?;
            return Ok(Some(Self::Buffer(buffer)));
        }
        Ok(Some(Self::Text(value.to_string(context)?)))
    }

    /// [Extract](https://fetch.spec.whatwg.org/#concept-bodyinit-extract): the body and its type.
    pub(super) fn extract(self, context: &mut Context) -> JsResult<(Body, Option<JsString>)> {
        let too_large =
            || JsError::from(JsNativeError::range().with_message("the body is too large"));
        let (data, kind): (BlobData, _) = match self {
            Self::Stream(stream) => {
                let stream = stream.state().clone();
                if stream.is_disturbed() || stream.is_locked() {
                    return Err(JsNativeError::typ()
                        .with_message("the stream has been read from, or is locked")
                        .into());
                }
                let source = None;
                return Ok((Body { stream, source }, None));
            }
            Self::Blob(blob) => {
                let blob = blob.state();
                let kind = Some(blob.kind().clone()).filter(|kind| !kind.is_empty());
                (blob.data().clone(), kind)
            }
            Self::Buffer(buffer) => {
                let mut bytes = AVec::new(0);
                bytes
                    .try_reserve_exact(buffer.len())
                    .map_err(|_| too_large())?;
                buffer.with_bytes(|source| bytes.extend_from_slice(source));
                (bytes.into(), None)
            }
            Self::Params(params) => {
                let text = params.state().serialize();
                let kind = from_utf8("application/x-www-form-urlencoded;charset=UTF-8");
                (AVec::from_slice(0, text.as_bytes()).into(), Some(kind))
            }
            Self::Text(text) => {
                let mut bytes = AVec::new(0);
                encode_utf8(&text, &mut bytes).map_err(|_| too_large())?;
                let kind = from_utf8("text/plain;charset=UTF-8");
                (bytes.into(), Some(kind))
            }
        };
        Ok((Body::of_bytes(data, context)?, kind))
    }
}

/// An interface that includes the mixin.
pub(super) trait HasBody: Interface {
    /// The [body](https://fetch.spec.whatwg.org/#concept-body-body)
    fn body(&self) -> Option<Body>;

    /// The [MIME type](https://fetch.spec.whatwg.org/#concept-body-mime-type)
    fn mime_type(&self) -> Option<Mime>;

    /// [Unusable](https://fetch.spec.whatwg.org/#body-unusable)
    fn is_unusable(&self) -> bool {
        self.body().is_some_and(|body| body.is_unusable())
    }
}

/// The error for a body that is gone.
pub(super) fn unusable() -> JsError {
    JsNativeError::typ()
        .with_message("the body has been read from, or is being read")
        .into()
}

/// The members of the mixin `Body`.
pub(super) fn define<T: HasBody>(idl: &mut Definition<'_, T>) {
    idl.readonly("body", |this, context| {
        let body = this.state().body();
        match body {
            Some(body) => Ok(JsValue::from(body.stream.object(context)?)),
            None => Ok(JsValue::null()),
        }
    });
    idl.readonly("bodyUsed", |this, _| {
        let body = this.state().body();
        Ok(body.is_some_and(|body| body.stream.is_disturbed()))
    });
    idl.promise_operation("arrayBuffer", 0, |this, _, context| {
        consume(this, Package::ArrayBuffer, context)
    });
    idl.promise_operation("blob", 0, |this, _, context| {
        let package = Package::Blob(this.object().clone(), mime_type_of::<T>);
        consume(this, package, context)
    });
    idl.promise_operation("bytes", 0, |this, _, context| {
        consume(this, Package::Bytes, context)
    });
    idl.promise_operation("formData", 0, |this, _, context| {
        consume(this, Package::FormData, context)
    });
    idl.promise_operation("json", 0, |this, _, context| {
        consume(this, Package::Json, context)
    });
    idl.promise_operation("text", 0, |this, _, context| {
        consume(this, Package::Text, context)
    });
}

fn mime_type_of<T: HasBody>(object: &JsObject) -> Option<Mime> {
    This::<T>::from_object(object.clone()).and_then(|this| this.state().mime_type())
}

/// What is made of the bytes.
#[derive(Clone, Trace, Finalize)]
#[boa_gc(unsafe_no_drop)]
enum Package {
    ArrayBuffer,
    /// With the type that the object says when the bytes are there.
    Blob(
        JsObject,
        #[unsafe_ignore_trace] fn(&JsObject) -> Option<Mime>,
    ),
    Bytes,
    /// Which there is not.
    FormData,
    Json,
    Text,
}

/// [Consume body](https://fetch.spec.whatwg.org/#concept-body-consume-body)
fn consume<T: HasBody>(
    this: &This<T>,
    package: Package,
    context: &mut Context,
) -> JsResult<JsPromise> {
    // 1.
    let body = this.state().body();
    if body.as_ref().is_some_and(Body::is_unusable) {
        return Err(unusable());
    }
    // 2.
    let promise = Promise::new();
    let object = promise.object(context)?;
    // 3. to 6.
    match body {
        None => settle(&promise, &package, Ok(AVec::new(0)), context)?,
        Some(body) => body.stream.collect_bytes(
            (promise, package),
            |(promise, package), bytes, context| settle(promise, package, bytes, context),
            context,
        )?,
    }
    Ok(object)
}

fn settle(
    promise: &Promise,
    package: &Package,
    bytes: Result<AlignedVec<u8>, JsValue>,
    context: &mut Context,
) -> JsResult<()> {
    let value = match bytes {
        Ok(bytes) => package.convert(bytes, context),
        Err(reason) => return promise.reject(reason, context),
    };
    match value {
        Ok(value) => promise.resolve(value, context),
        Err(error) => {
            let reason = thrown(error, context)?;
            promise.reject(reason, context)
        }
    }
}

impl Package {
    fn convert(&self, bytes: AlignedVec<u8>, context: &mut Context) -> JsResult<JsValue> {
        Ok(match self {
            Self::ArrayBuffer => array_buffer(bytes, context)?.into(),
            Self::Bytes => {
                let buffer = array_buffer(bytes, context)?;
                JsUint8Array::from_array_buffer(buffer, context)?.into()
            }
            Self::Blob(object, mime_type) => {
                let kind = mime_type(object).map_or_else(String::new, |mime| mime.to_string());
                event_loop::account_external(bytes.len(), context);
                Blob::object(bytes, from_utf8(&kind), context)?.into()
            }
            Self::FormData => {
                return Err(JsNativeError::typ()
                    .with_message("there is no FormData here; use text() and URLSearchParams")
                    .into());
            }
            Self::Text => text(&bytes, context)?.into(),
            Self::Json => {
                let parse = Primordials::get(context, |it| &it.json_parse)?;
                let text = text(&bytes, context)?;
                // Before another copy is made of it.
                drop(bytes);
                parse.call(&JsValue::undefined(), &[text.into()], context)?
            }
        })
    }
}

fn array_buffer(bytes: AlignedVec<u8>, context: &mut Context) -> JsResult<JsArrayBuffer> {
    event_loop::account_external(bytes.len(), context);
    JsArrayBuffer::from_byte_block(bytes, context)
}

/// [UTF-8 decode](https://encoding.spec.whatwg.org/#utf-8-decode)
fn text(bytes: &[u8], context: &mut Context) -> JsResult<JsString> {
    let limit = context.host_hooks().max_buffer_size(context);
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    decode_utf8(bytes, limit).map_err(|TooLong| {
        JsNativeError::range()
            .with_message("the text of the body is too long")
            .into()
    })
}
