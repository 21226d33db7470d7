//! Underlying sinks: <https://streams.spec.whatwg.org/#underlying-sink-api>

use boa_engine::{Context, JsNativeError, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Gc, Trace};

use super::WritableStream;
use crate::{
    binding::{Dictionary, Promise},
    event_loop,
    streams::settled,
};

/// What a writable stream writes to. Each algorithm returns a promise; an exception that one throws counts as a
/// promise rejected with it.
///
/// The stream calls them one at a time, but for `abort`, which may come while a write is under way.
pub(crate) trait UnderlyingSink: Trace + 'static {
    /// The write algorithm.
    fn write(
        &self,
        chunk: JsValue,
        stream: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise>;

    /// The close algorithm: all chunks have been written.
    fn close(&self, _stream: &WritableStream, _context: &mut Context) -> JsResult<Promise> {
        Ok(Promise::fulfilled())
    }

    /// The abort algorithm.
    fn abort(
        &self,
        _reason: JsValue,
        _stream: &WritableStream,
        _context: &mut Context,
    ) -> JsResult<Promise> {
        Ok(Promise::fulfilled())
    }

    /// The stream is about to be aborted: what the signal of a script's controller tells. A write that is under way may be
    /// ended, which the abort algorithm waits for.
    fn signal_abort(&self, _reason: &JsValue, _context: &mut Context) -> JsResult<()> {
        Ok(())
    }
}

/// A sink that the stream shares with the algorithms that are running.
#[derive(Clone, Trace, Finalize)]
pub(super) struct Sink(Gc<Box<dyn UnderlyingSink>>);

impl Sink {
    pub(super) fn new(sink: impl UnderlyingSink) -> Self {
        Self(Gc::new(Box::new(sink)))
    }

    pub(super) fn write(
        &self,
        chunk: JsValue,
        stream: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let result = self.0.write(chunk, stream, context);
        settled(result, context)
    }

    pub(super) fn close(
        &self,
        stream: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let result = self.0.close(stream, context);
        settled(result, context)
    }

    pub(super) fn abort(
        &self,
        reason: JsValue,
        stream: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let result = self.0.abort(reason, stream, context);
        settled(result, context)
    }

    pub(super) fn signal_abort(&self, reason: &JsValue, context: &mut Context) -> JsResult<()> {
        self.0.signal_abort(reason, context)
    }
}

/// The dictionary `UnderlyingSink`, as the object that it came from implements it.
#[derive(Trace, Finalize)]
pub(super) struct ScriptSink {
    this: JsValue,
    abort: Option<JsObject>,
    close: Option<JsObject>,
    write: Option<JsObject>,
}

impl ScriptSink {
    /// The sink and its `start`.
    pub(super) fn from_value(
        value: &JsValue,
        context: &mut Context,
    ) -> JsResult<(Self, Option<JsObject>)> {
        let dictionary = Dictionary::new(value)?;
        let abort = dictionary.function("abort", context)?;
        let close = dictionary.function("close", context)?;
        let start = dictionary.function("start", context)?;
        let kind = dictionary.get("type", context)?;
        let write = dictionary.function("write", context)?;
        if kind.is_some() {
            return Err(JsNativeError::range()
                .with_message("an underlying sink has no 'type'")
                .into());
        }
        let sink = Self {
            this: value.clone(),
            abort,
            close,
            write,
        };
        Ok((sink, start))
    }
}

impl UnderlyingSink for ScriptSink {
    fn write(
        &self,
        chunk: JsValue,
        stream: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let Some(write) = &self.write else {
            return Ok(Promise::fulfilled());
        };
        let controller = stream.controller_object(context)?;
        let result = event_loop::call(write, &self.this, &[chunk, controller.into()], context);
        Promise::of_completion(result, context)
    }

    fn close(&self, _: &WritableStream, context: &mut Context) -> JsResult<Promise> {
        let Some(close) = &self.close else {
            return Ok(Promise::fulfilled());
        };
        let result = event_loop::call(close, &self.this, &[], context);
        Promise::of_completion(result, context)
    }

    fn abort(
        &self,
        reason: JsValue,
        _: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let Some(abort) = &self.abort else {
            return Ok(Promise::fulfilled());
        };
        let result = event_loop::call(abort, &self.this, &[reason], context);
        Promise::of_completion(result, context)
    }
}
