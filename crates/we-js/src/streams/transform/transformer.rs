//! Transformers: <https://streams.spec.whatwg.org/#transformer-api>

use boa_engine::{Context, JsNativeError, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Gc, Trace};

use super::TransformStream;
use crate::{
    binding::{Dictionary, Promise},
    event_loop,
    streams::settled,
};

/// What a transform stream makes of the chunks that are written to it. Each algorithm returns a promise; an exception
/// that one throws counts as a promise rejected with it.
pub(crate) trait Transformer: Trace + 'static {
    /// The transform algorithm. It [enqueues](TransformStream::enqueue) what becomes of the chunk.
    fn transform(
        &self,
        chunk: JsValue,
        stream: &TransformStream,
        context: &mut Context,
    ) -> JsResult<Promise>;

    /// The flush algorithm: all chunks have been transformed.
    fn flush(&self, _stream: &TransformStream, _context: &mut Context) -> JsResult<Promise> {
        Ok(Promise::fulfilled())
    }

    /// The cancel algorithm: the readable side was canceled or the writable side aborted.
    fn cancel(&self, _reason: JsValue, _context: &mut Context) -> JsResult<Promise> {
        Ok(Promise::fulfilled())
    }
}

/// A transformer that the stream shares with the algorithms that are running.
#[derive(Clone, Trace, Finalize)]
pub(super) struct Algorithms(Gc<Box<dyn Transformer>>);

impl Algorithms {
    pub(super) fn new(transformer: impl Transformer) -> Self {
        Self(Gc::new(Box::new(transformer)))
    }

    pub(super) fn transform(
        &self,
        chunk: JsValue,
        stream: &TransformStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let result = self.0.transform(chunk, stream, context);
        settled(result, context)
    }

    pub(super) fn flush(
        &self,
        stream: &TransformStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let result = self.0.flush(stream, context);
        settled(result, context)
    }

    pub(super) fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        let result = self.0.cancel(reason, context);
        settled(result, context)
    }
}

/// The dictionary `Transformer`, as the object that it came from implements it.
#[derive(Trace, Finalize)]
pub(super) struct ScriptTransformer {
    this: JsValue,
    cancel: Option<JsObject>,
    flush: Option<JsObject>,
    transform: Option<JsObject>,
}

impl ScriptTransformer {
    /// The transformer and its `start`.
    pub(super) fn from_value(
        value: &JsValue,
        context: &mut Context,
    ) -> JsResult<(Self, Option<JsObject>)> {
        let dictionary = Dictionary::new(value)?;
        let cancel = dictionary.function("cancel", context)?;
        let flush = dictionary.function("flush", context)?;
        let readable_type = dictionary.get("readableType", context)?;
        let start = dictionary.function("start", context)?;
        let transform = dictionary.function("transform", context)?;
        let writable_type = dictionary.get("writableType", context)?;
        if readable_type.is_some() || writable_type.is_some() {
            return Err(JsNativeError::range()
                .with_message("a transformer has no 'readableType' and no 'writableType'")
                .into());
        }
        let transformer = Self {
            this: value.clone(),
            cancel,
            flush,
            transform,
        };
        Ok((transformer, start))
    }
}

impl Transformer for ScriptTransformer {
    fn transform(
        &self,
        chunk: JsValue,
        stream: &TransformStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let Some(transform) = &self.transform else {
            stream.enqueue(chunk, context)?;
            return Ok(Promise::fulfilled());
        };
        let controller = stream.controller_object(context)?;
        let result = event_loop::call(transform, &self.this, &[chunk, controller.into()], context);
        Promise::of_completion(result, context)
    }

    fn flush(&self, stream: &TransformStream, context: &mut Context) -> JsResult<Promise> {
        let Some(flush) = &self.flush else {
            return Ok(Promise::fulfilled());
        };
        let controller = stream.controller_object(context)?;
        let result = event_loop::call(flush, &self.this, &[controller.into()], context);
        Promise::of_completion(result, context)
    }

    fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        let Some(cancel) = &self.cancel else {
            return Ok(Promise::fulfilled());
        };
        let result = event_loop::call(cancel, &self.this, &[reason], context);
        Promise::of_completion(result, context)
    }
}
