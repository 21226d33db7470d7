//! Structured clone: <https://html.spec.whatwg.org/multipage/structured-data.html>
//!
//! A value is [serialized](serialize) to a [`Record`](record::Record), which refers to no JavaScript and can be sent to
//! another thread, and [deserialized](deserialize) from it in whatever context is current there. Neither
//! direction recurses: how deeply a value is nested does not matter to the native stack. Platform objects take part
//! by the traits of [`platform`].

mod deserialize;
mod platform;
mod record;
mod serialize;
mod view;

#[cfg(test)]
mod tests;

use boa_engine::{Context, JsArgs, JsError, JsNativeError, JsResult, JsValue, object::JsObject};

pub(crate) use deserialize::{define_stack, deserialize};
pub(crate) use platform::{Serializable, Serialized, Transferable, Transferred};
pub(crate) use record::{Record, Text};
pub(crate) use serialize::{own_string, serialize};

use crate::{
    binding::{Dictionary, define_function, sequence},
    dom::{DomException, ErrorName},
};

/// Defines [`structuredClone()`](https://html.spec.whatwg.org/multipage/structured-data.html#dom-structuredclone).
pub(crate) fn install(context: &mut Context) -> JsResult<()> {
    define_function(
        "structuredClone",
        1,
        |args, context| {
            let transfer = transfer_option(&Dictionary::new(args.get_or_undefined(1))?, context)?;
            let record = serialize(args.get_or_undefined(0), &transfer, context)?;
            deserialize(record, context).map(|deserialized| deserialized.value)
        },
        context,
    )
}

/// The member `transfer` of [`StructuredSerializeOptions`][spec], a `sequence<object>`.
///
/// [spec]: https://html.spec.whatwg.org/multipage/web-messaging.html#structuredserializeoptions
pub(crate) fn transfer_option(
    options: &Dictionary,
    context: &mut Context,
) -> JsResult<Vec<JsObject>> {
    let Some(list) = options.get("transfer", context)? else {
        return Ok(Vec::new());
    };
    let not_objects = || JsNativeError::typ().with_message("transfer is not a sequence of objects");
    sequence_of_objects(&list, context)?.ok_or_else(|| not_objects().into())
}

/// `sequence<object>`; `None` if `value` is not iterable.
pub(crate) fn sequence_of_objects(
    value: &JsValue,
    context: &mut Context,
) -> JsResult<Option<Vec<JsObject>>> {
    sequence(value, context, |value, _| {
        value.as_object().ok_or_else(|| {
            JsNativeError::typ()
                .with_message("transfer has an item that is not an object")
                .into()
        })
    })
}

pub(crate) fn data_clone_error(message: &str, context: &mut Context) -> JsError {
    DomException::error(ErrorName::DataClone, message, context)
}
