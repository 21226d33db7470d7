//! [Message port post message steps][spec], and the arguments of `postMessage()`.
//!
//! [spec]: https://html.spec.whatwg.org/multipage/web-messaging.html#message-port-post-message-steps

use boa_engine::{Context, JsArgs, JsResult, JsValue, object::JsObject};

use super::{MessagePort, end::Side};
use crate::{
    binding::{Dictionary, This},
    structured_clone::{data_clone_error, sequence_of_objects, serialize, transfer_option},
};

/// `(any message, sequence<object> transfer)` or `(any message, optional StructuredSerializeOptions options = {})`
fn transfer_argument(args: &[JsValue], context: &mut Context) -> JsResult<Vec<JsObject>> {
    let argument = args.get_or_undefined(1);
    // Overload resolution: whatever can be iterated is the sequence.
    if let Some(transfer) = sequence_of_objects(argument, context)? {
        return Ok(transfer);
    }
    transfer_option(&Dictionary::new(argument)?, context)
}

/// Posts a message with the arguments of a script. `side` is the port's end and `None` if it is detached, `source` the
/// port's object if it has one.
pub(super) fn post_message(
    side: Option<&Side>,
    source: Option<&JsObject>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<()> {
    // 1.
    let transfer = transfer_argument(args, context)?;
    // 2.
    if source.is_some_and(|source| {
        transfer
            .iter()
            .any(|object| JsObject::equals(object, source))
    }) {
        return Err(data_clone_error(
            "a port cannot be transferred through itself",
            context,
        ));
    }
    // 3., 4. A message cannot take its own target along: it would arrive nowhere.
    let is_doomed = side.is_some_and(|side| {
        let mut ports = transfer
            .iter()
            .cloned()
            .filter_map(This::<MessagePort>::from_object);
        ports.any(|port| {
            port.state()
                .side()
                .is_some_and(|other| side.is_opposite(&other))
        })
    });
    if is_doomed {
        tracing::warn!(target: "we::js", "a message that transfers its own target port is lost");
    }
    // 5.
    let message = serialize(args.get_or_undefined(0), &transfer, context)?;
    // 6., 7.
    if let Some(side) = side
        && !is_doomed
    {
        side.post(message);
    }
    Ok(())
}
