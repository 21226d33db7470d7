//! `ReadableStream.from()`: <https://streams.spec.whatwg.org/#readable-stream-from-iterable>

use boa_engine::{
    Context, JsError, JsNativeError, JsResult, JsSymbol, JsValue, js_string, object::JsObject,
};
use boa_gc::{Finalize, Trace};

use super::{ReadableStream, UnderlyingSource};
use crate::{
    binding::{Next, Promise, thrown},
    event_loop,
    streams::strategy::Strategy,
};

/// The iterator of an iterable or async iterable object, as a source.
#[derive(Trace, Finalize)]
struct Iterator {
    object: JsObject,
    next: JsValue,
    is_async: bool,
}

pub(super) fn from(iterable: &JsValue, context: &mut Context) -> JsResult<ReadableStream> {
    // https://tc39.es/ecma262/#sec-getiterator
    let object = iterable.to_object(context)?;
    let (method, is_async) = match method(&object, JsSymbol::async_iterator(), context)? {
        Some(method) => (method, true),
        None => match method(&object, JsSymbol::iterator(), context)? {
            Some(method) => (method, false),
            None => {
                return Err(JsNativeError::typ()
                    .with_message("argument 1 is not iterable")
                    .into());
            }
        },
    };
    let iterator = event_loop::call(&method, iterable, &[], context)?;
    let iterator = object_or("the iterator is not an object", &iterator)?;
    let source = Iterator {
        next: iterator.get(js_string!("next"), context)?,
        object: iterator,
        is_async,
    };
    let start = Promise::fulfilled();
    let (stream, _) = ReadableStream::new(source, &start, Strategy::count(0.0), context)?;
    Ok(stream)
}

/// <https://tc39.es/ecma262/#sec-getmethod>
fn method(
    object: &JsObject,
    key: impl Into<boa_engine::property::PropertyKey>,
    context: &mut Context,
) -> JsResult<Option<JsObject>> {
    let method = object.get(key, context)?;
    if method.is_null_or_undefined() {
        return Ok(None);
    }
    match method.as_callable() {
        Some(method) => Ok(Some(method)),
        None => Err(JsNativeError::typ()
            .with_message("a method of the iterator is not a function")
            .into()),
    }
}

fn object_or(message: &'static str, value: &JsValue) -> JsResult<JsObject> {
    value
        .as_object()
        .ok_or_else(|| JsNativeError::typ().with_message(message).into())
}

impl Iterator {
    fn call_next(&self, context: &mut Context) -> JsResult<JsValue> {
        let next = self
            .next
            .as_callable()
            .ok_or_else(|| JsNativeError::typ().with_message("iterator.next is not a function"))?;
        event_loop::call(&next, &self.object.clone().into(), &[], context)
    }

    fn deliver(
        stream: &ReadableStream,
        value: Option<JsValue>,
        context: &mut Context,
    ) -> JsResult<Next> {
        if let Some(controller) = stream.default_controller() {
            match value {
                Some(value) => controller.enqueue(value, context)?,
                None => controller.close(context)?,
            }
        }
        Ok(Next::Value(JsValue::undefined()))
    }

    fn pull_async(&self, stream: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        let result = self.call_next(context);
        Promise::of_completion(result, context)?.then(
            stream.clone(),
            |stream, outcome, context| {
                let result = outcome.map_err(JsError::from_opaque)?;
                let (done, value) = step(&result, context)?;
                Self::deliver(stream, (!done).then_some(value), context)
            },
            context,
        )
    }

    /// A promise that a synchronous iterator yields is awaited:
    /// <https://tc39.es/ecma262/#sec-asyncfromsynciteratorcontinuation>
    fn pull_sync(&self, stream: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        let result = self.call_next(context)?;
        let (done, value) = step(&result, context)?;
        Promise::resolved_with(value, context)?.then(
            (stream.clone(), self.object.clone(), done),
            |(stream, iterator, done), outcome, context| match outcome {
                Ok(value) => Self::deliver(stream, (!done).then_some(value), context),
                Err(reason) => {
                    // What closing the iterator throws counts less than the reason.
                    if !done && let Err(error) = close_sync(iterator, context) {
                        thrown(error, context)?;
                    }
                    Err(JsError::from_opaque(reason))
                }
            },
            context,
        )
    }
}

/// `done` and `value` of an iterator's result. The value of the last one is looked at by synchronous iterators only,
/// where it is undefined in most cases.
fn step(result: &JsValue, context: &mut Context) -> JsResult<(bool, JsValue)> {
    let result = object_or("the result of iterator.next is not an object", result)?;
    let done = result.get(js_string!("done"), context)?.to_boolean();
    if done {
        return Ok((true, JsValue::undefined()));
    }
    Ok((false, result.get(js_string!("value"), context)?))
}

fn close_sync(iterator: &JsObject, context: &mut Context) -> JsResult<()> {
    if let Some(method) = method(iterator, js_string!("return"), context)? {
        event_loop::call(&method, &iterator.clone().into(), &[], context)?;
    }
    Ok(())
}

impl UnderlyingSource for Iterator {
    fn pull(&self, stream: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        if self.is_async {
            self.pull_async(stream, context)
        } else {
            self.pull_sync(stream, context)
        }
    }

    fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        let Some(method) = method(&self.object, js_string!("return"), context)? else {
            return Ok(Promise::fulfilled());
        };
        let result = event_loop::call(&method, &self.object.clone().into(), &[reason], context);
        let not_an_object = "the result of iterator.return is not an object";
        if self.is_async {
            return Promise::of_completion(result, context)?.then(
                (),
                |(), outcome, _| {
                    let result = outcome.map_err(JsError::from_opaque)?;
                    object_or("the result of iterator.return is not an object", &result)?;
                    Ok(Next::Value(JsValue::undefined()))
                },
                context,
            );
        }
        let result = object_or(not_an_object, &result?)?;
        let value = result.get(js_string!("value"), context)?;
        Promise::resolved_with(value, context)
    }
}
