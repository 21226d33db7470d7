//! `MessageChannel`: <https://html.spec.whatwg.org/multipage/web-messaging.html#message-channels>

use boa_engine::{Context, JsData, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Trace};

use super::{MessagePort, PortEnd};
use crate::binding::{Definition, Interface, NewTarget, PlatformObject};

/// The state of a `MessageChannel`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct MessageChannel {
    port1: JsObject,
    port2: JsObject,
}

impl PlatformObject for MessageChannel {}

impl Interface for MessageChannel {
    const NAME: &'static str = "MessageChannel";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, construct);
        idl.readonly("port1", |this, _| Ok(this.state().port1.clone()));
        idl.readonly("port2", |this, _| Ok(this.state().port2.clone()));
        Ok(())
    }
}

/// <https://html.spec.whatwg.org/multipage/web-messaging.html#dom-messagechannel>
fn construct(
    new_target: &NewTarget<MessageChannel>,
    _args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let new_object = new_target.prepare(context)?;
    let (first, second) = PortEnd::pair();
    let port1 = MessagePort::create(first, context)?.object().clone();
    let port2 = MessagePort::create(second, context)?.object().clone();
    new_object.create(MessageChannel { port1, port2 }, context)
}
