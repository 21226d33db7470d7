//! Structured clone: <https://html.spec.whatwg.org/multipage/structured-data.html>
//!
//! A value is [serialized](serialize) to a [`Record`](record::Record), which refers to no JavaScript and can be sent to
//! another thread, and [deserialized](deserialize) from it in whatever context is current there. Neither
//! direction recurses: how deeply a value is nested does not matter to the native stack.

mod deserialize;
mod record;
mod serialize;
mod view;

#[cfg(test)]
mod tests;

use boa_engine::{Context, JsArgs, JsError, JsNativeError, JsResult, object::JsObject};

pub(crate) use deserialize::deserialize;
pub(crate) use serialize::serialize;

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
            deserialize(record, context)
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
    let objects = sequence(&list, context, |value, _| {
        value.as_object().ok_or_else(|| not_objects().into())
    })?;
    Ok(objects.ok_or_else(not_objects)?)
}

fn data_clone_error(message: &str, context: &mut Context) -> JsError {
    DomException::error(ErrorName::DataClone, message, context)
}
