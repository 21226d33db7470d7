//! What arrives at the ports of an agent, told to its scripts. Each notice is a task on the posted message task source.

use boa_engine::{
    Context, JsResult, JsString, js_string,
    object::{IntegrityLevel, JsObject, builtins::JsArray},
};

use super::{MessagePort, Notice, broadcast_channel, end::PortId};
use crate::{
    binding::This,
    dom::{
        EventDetail, EventInit, EventTarget, dispatch::fire_with, message_event::MessageEvent,
        report::report_exception,
    },
    event_loop::LoopState,
    structured_clone::{Record, deserialize},
};

/// Delivers what a notice says is there. The port may be gone by now: then nobody is there to be told.
pub(crate) fn deliver(notice: Notice, context: &mut Context) {
    let told = match notice {
        Notice::Message(port) => message(port, context),
        Notice::Closed(port) => closed(port, context),
        Notice::Broadcast(channel, broadcast) => {
            broadcast_channel::deliver(channel, broadcast, context)
        }
    };
    if let Err(error) = told {
        report_exception(error, context);
    }
}

/// The task of the [message port post message steps][spec], step 7.
///
/// [spec]: https://html.spec.whatwg.org/multipage/web-messaging.html#message-port-post-message-steps
fn message(port: PortId, context: &mut Context) -> JsResult<()> {
    let ports = LoopState::of(context)?.ports().clone();
    // 1., 2.
    let Some((side, target, _)) = ports.target(port) else {
        return Ok(());
    };
    let Some(message) = side.take_message() else {
        return Ok(());
    };
    ports.refresh(port);
    let native = This::<MessagePort>::from_object(target.object().clone());
    if let Some(listener) = native.and_then(|port| port.state().listener()) {
        let message = deserialize(message, context).map(|message| message.value);
        return listener.message(message, context);
    }
    fire_message(&target, Some(message), js_string!(), context)
}

/// Fires `message`, or `messageerror` if there is no message or it cannot be made anew here. The ports that came with it are its `ports`.
pub(super) fn fire_message(
    target: &This<EventTarget>,
    message: Option<Record>,
    origin: JsString,
    context: &mut Context,
) -> JsResult<()> {
    // 3., 4.
    let (kind, event) = match message.map(|message| deserialize(message, context)) {
        Some(Ok(message)) => {
            // 5., 6.
            let is_port =
                |object: &JsObject| This::<MessagePort>::from_object(object.clone()).is_some();
            let ports = message.transferred.into_iter().filter(is_port);
            let ports: JsObject = JsArray::from_iter(ports.map(Into::into), context).into();
            ports.set_integrity_level(IntegrityLevel::Frozen, context)?;
            let event = MessageEvent::new(message.value, origin).with_ports(ports);
            (js_string!("message"), event)
        }
        error => {
            tracing::debug!(target: "we::js", error = ?error.and_then(Result::err), "a message cannot be deserialized");
            (
                js_string!("messageerror"),
                MessageEvent::new(boa_engine::JsValue::null(), origin),
            )
        }
    };
    // 7.
    let detail = EventDetail::Message(event);
    fire_with::<MessageEvent>(target, kind, EventInit::default(), detail, context).map(drop)
}

/// [Disentangle](https://html.spec.whatwg.org/multipage/web-messaging.html#disentangle), step 4.
fn closed(port: PortId, context: &mut Context) -> JsResult<()> {
    let ports = LoopState::of(context)?.ports().clone();
    let Some((side, target, behavior)) = ports.target(port) else {
        return Ok(());
    };
    if !side.take_close() {
        return Ok(());
    }
    ports.refresh(port);
    ports.let_go(port);
    (behavior.closed)(&target, context)
}
