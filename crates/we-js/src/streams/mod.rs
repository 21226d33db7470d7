//! Streams: <https://streams.spec.whatwg.org/>

mod queue;
mod readable;
mod strategy;
mod transform;
mod writable;

use boa_engine::{Context, JsNativeError, JsResult, JsValue};

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
mod tests;
