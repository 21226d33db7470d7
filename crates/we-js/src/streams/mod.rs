//! Streams: <https://streams.spec.whatwg.org/>
//!
//! The state of a stream is native, and so is all that happens between streams: a pipe or a tee touches no object that
//! a script could have changed. What a script sees is a thin object around the handle.
//!
//! # For other standards
//!
//! A stream of chunks is made with [`ReadableStream::new`], one of bytes with [`ReadableStream::new_bytes`], around a
//! type that implements [`UnderlyingSource`]: it is *pulled* when the queue is not full, and *canceled* when nobody
//! wants the rest. Both answer with a [`Promise`](crate::binding::Promise); a source that pushes pulls nothing and
//! looks at `desired_size()`. The controller that comes with the stream takes chunks:
//!
//! ```text
//! #[derive(Trace, Finalize)]
//! struct Messages { socket: JsObject }
//!
//! impl UnderlyingSource for Messages {
//!     fn pull(&self, stream: &ReadableStream, context: &mut Context) -> JsResult<Promise> { ... }
//!     fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> { ... }
//! }
//!
//! let start = Promise::fulfilled();
//! let (stream, controller) = ReadableStream::new(Messages { socket }, &start, Strategy::count(0.0), context)?;
//! controller.enqueue(chunk, context)?;    // or close, error, desired_size
//! let object = stream.object(context)?;   // what a script is given, the same each time
//! ```
//!
//! [`WritableStream::new`] does the same with an [`UnderlyingSink`], whose *write*, *close* and *abort* answer with
//! promises; [`WritableStream::error_if_needed`] makes the stream fail from outside. [`TransformStream::new`] connects
//! two streams by a [`Transformer`].
//!
//! Streams can be [transferred](transfer): to another agent, by way of a port.
//!
//! All of them are handles that the collector knows: keep them in types that derive `Trace`, where they cost a pointer.

mod queue;
mod readable;
mod strategy;
mod transfer;
mod transform;
mod writable;

use boa_engine::{Context, JsNativeError, JsResult, JsValue};

pub(crate) use readable::{
    ReadRequest, ReadableStream, Reader, UnderlyingSource, WeakReadableStream,
};
#[allow(unused_imports, reason = "the whole interface for other standards")]
pub(crate) use {
    readable::{ByteController, DefaultController},
    strategy::Strategy,
    transform::{TransformStream, Transformer},
    writable::{UnderlyingSink, WritableStream},
};

use crate::binding::{Promise, register, thrown};

/// Defines the interfaces in the context's current realm.
pub(crate) fn install(context: &mut Context) -> JsResult<()> {
    strategy::install(context);
    register::<strategy::ByteLengthQueuingStrategy>(context)?;
    register::<strategy::CountQueuingStrategy>(context)?;
    readable::install(context)?;
    writable::install(context)?;
    transform::install(context)?;
    Ok(())
}

/// The promise that an algorithm returned, or one that is rejected with what it threw.
fn settled(result: JsResult<Promise>, context: &mut Context) -> JsResult<Promise> {
    match result {
        Ok(promise) => Ok(promise),
        Err(error) => Ok(Promise::rejected(thrown(error, context)?)),
    }
}

/// An argument of the type `optional object`; null stands for one that is missing.
fn optional_object(value: &JsValue) -> JsResult<JsValue> {
    if value.is_undefined() {
        return Ok(JsValue::null());
    }
    if value.is_object() {
        return Ok(value.clone());
    }
    Err(JsNativeError::typ()
        .with_message("argument 1 is not an object")
        .into())
}

#[cfg(test)]
mod native_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transfer_tests;
