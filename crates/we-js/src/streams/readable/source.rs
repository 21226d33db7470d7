//! Underlying sources: <https://streams.spec.whatwg.org/#underlying-source-api>

use boa_engine::{Context, JsNativeError, JsResult, JsValue, js_string, object::JsObject};
use boa_gc::{Finalize, Gc, Trace};

use super::ReadableStream;
use crate::{
    binding::{Dictionary, IntegerConversion, Promise, unsigned_integer},
    event_loop,
    streams::settled,
};

/// What a readable stream reads from. Each algorithm returns a promise; an exception that one throws counts as a
/// promise rejected with it.
pub(crate) trait UnderlyingSource: Trace + 'static {
    /// The pull algorithm: the queue wants to be filled. It is not called again before its promise is settled.
    ///
    /// The [controller](ReadableStream::default_controller) is the stream's.
    fn pull(&self, _stream: &ReadableStream, _context: &mut Context) -> JsResult<Promise> {
        Ok(Promise::fulfilled())
    }

    /// The cancel algorithm: nobody wants the rest. Called once at most.
    fn cancel(&self, _reason: JsValue, _context: &mut Context) -> JsResult<Promise> {
        Ok(Promise::fulfilled())
    }

    /// Whether the stream is [awaited](ReadableStream::is_awaited) may have changed, otherwise than by a pull. No script
    /// knows of this.
    fn attend(&self, _stream: &ReadableStream, _context: &Context) -> JsResult<()> {
        Ok(())
    }
}

/// A source that the stream shares with the algorithms that are running.
#[derive(Clone, Trace, Finalize)]
pub(super) struct Source(Gc<Box<dyn UnderlyingSource>>);

impl Source {
    pub(super) fn new(source: impl UnderlyingSource) -> Self {
        Self(Gc::new(Box::new(source)))
    }

    pub(super) fn pull(&self, stream: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        let result = self.0.pull(stream, context);
        settled(result, context)
    }

    pub(super) fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        let result = self.0.cancel(reason, context);
        settled(result, context)
    }

    pub(super) fn attend(&self, stream: &ReadableStream, context: &Context) -> JsResult<()> {
        self.0.attend(stream, context)
    }
}

/// The dictionary `UnderlyingSource`: <https://streams.spec.whatwg.org/#dictdef-underlyingsource>
pub(super) struct SourceDictionary {
    this: JsValue,
    pub(super) auto_allocate_chunk_size: Option<u64>,
    cancel: Option<JsObject>,
    pull: Option<JsObject>,
    start: Option<JsObject>,
    pub(super) is_bytes: bool,
}

impl SourceDictionary {
    pub(super) fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let dictionary = Dictionary::new(value)?;
        let chunk_size = dictionary.get("autoAllocateChunkSize", context)?;
        let auto_allocate_chunk_size = chunk_size
            .map(|size| unsigned_integer(&size, 64, IntegerConversion::EnforceRange, context))
            .transpose()?;
        let cancel = dictionary.function("cancel", context)?;
        let pull = dictionary.function("pull", context)?;
        let start = dictionary.function("start", context)?;
        let is_bytes = match dictionary.string("type", context)? {
            None => false,
            Some(kind) if kind == js_string!("bytes") => true,
            Some(_) => {
                return Err(JsNativeError::typ()
                    .with_message("the type of an underlying source is not 'bytes'")
                    .into());
            }
        };
        Ok(Self {
            this: value.clone(),
            auto_allocate_chunk_size,
            cancel,
            pull,
            start,
            is_bytes,
        })
    }

    /// The source whose callbacks are given `controller`.
    pub(super) fn source(&self, controller: &JsObject) -> Source {
        Source::new(ScriptSource {
            this: self.this.clone(),
            controller: controller.clone(),
            cancel: self.cancel.clone(),
            pull: self.pull.clone(),
        })
    }

    /// The result of the start algorithm, which may throw.
    pub(super) fn start(&self, controller: &JsObject, context: &mut Context) -> JsResult<Promise> {
        let Some(start) = &self.start else {
            return Ok(Promise::fulfilled());
        };
        let result = event_loop::call(start, &self.this, &[controller.clone().into()], context)?;
        Promise::resolved_with(result, context)
    }
}

/// A script's object as a source.
#[derive(Trace, Finalize)]
struct ScriptSource {
    this: JsValue,
    controller: JsObject,
    cancel: Option<JsObject>,
    pull: Option<JsObject>,
}

impl UnderlyingSource for ScriptSource {
    fn pull(&self, _: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        let Some(pull) = &self.pull else {
            return Ok(Promise::fulfilled());
        };
        let result = event_loop::call(pull, &self.this, &[self.controller.clone().into()], context);
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
