//! `BroadcastChannel`: <https://html.spec.whatwg.org/multipage/web-messaging.html#broadcasting-to-other-browsing-contexts>
//!
//! A channel that is open and has a listener is not collected. It does not keep a program running: whoever could
//! broadcast something is active himself. (Node.js waits even if there is nobody.)

use std::{cell::RefCell, rc::Rc, sync::Arc};

use boa_engine::{Context, JsArgs, JsData, JsResult, JsString, JsValue, object::JsObject};
use boa_gc::{Finalize, Gc, Trace};

use super::{
    broadcasts::{Broadcast, ChannelId, Subscription},
    delivery::fire_message,
    ports::Link,
};
use crate::{
    binding::{Definition, Interface, NewTarget, This},
    dom::{DomException, ErrorName, EventTarget, EventTargetObject, event_handler},
    event_loop::LoopState,
    structured_clone::serialize,
};

/// The state of a `BroadcastChannel`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct BroadcastChannel {
    name: JsString,
    /// Gone once the channel is closed.
    #[unsafe_ignore_trace]
    subscription: RefCell<Option<Rc<Subscription>>>,
    link: Gc<Link>,
}

impl Interface for BroadcastChannel {
    const NAME: &'static str = "BroadcastChannel";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        root.kind()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()?;
        idl.constructor(1, construct);
        idl.readonly("name", |this, _| Ok(this.state().name.clone()));
        idl.operation("postMessage", 1, post_message);
        idl.operation("close", 0, |this, _, _| {
            let subscription = this.state().subscription.take();
            if let Some(broadcasts) = subscription.and_then(|subscription| subscription.agent()) {
                broadcasts.forget_the_gone();
            }
            Ok(JsValue::undefined())
        });
        event_handler::define(idl, "onmessage");
        event_handler::define(idl, "onmessageerror");
        Ok(())
    }
}

/// <https://html.spec.whatwg.org/multipage/web-messaging.html#dom-broadcastchannel>
fn construct(
    new_target: &NewTarget<BroadcastChannel>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let name = args.get_or_undefined(0).to_string(context)?;
    let broadcasts = LoopState::of(context)?.broadcasts().clone();
    let link = Gc::new(Link::default());
    let state = BroadcastChannel {
        name: name.clone(),
        subscription: RefCell::new(None),
        link: link.clone(),
    };
    let object = new_target.create(EventTargetObject::new(state), context)?;
    link.set(object.clone());
    if let Some(this) = This::<BroadcastChannel>::from_object(object.clone()) {
        let subscription = broadcasts.subscribe(&name, &link);
        *this.state().subscription.borrow_mut() = Some(Rc::new(subscription));
    }
    Ok(object)
}

/// <https://html.spec.whatwg.org/multipage/web-messaging.html#dom-broadcastchannel-postmessage>
fn post_message(
    this: &This<BroadcastChannel>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    // 2.
    let subscription = this.state().subscription.borrow().clone();
    let Some(subscription) = subscription else {
        let message = "BroadcastChannel.postMessage: the channel is closed";
        return Err(DomException::error(
            ErrorName::InvalidState,
            message,
            context,
        ));
    };
    // 3.
    let message = serialize(args.get_or_undefined(0), &[], context)?;
    // 4. to 9.
    if let Some(broadcasts) = subscription.agent() {
        broadcasts.post(&subscription, message);
    }
    Ok(JsValue::undefined())
}

/// Delivers a broadcast: the task of `postMessage()`, step 9.
pub(super) fn deliver(
    id: ChannelId,
    broadcast: Arc<Broadcast>,
    context: &mut Context,
) -> JsResult<()> {
    let broadcasts = LoopState::of(context)?.broadcasts().clone();
    let object = broadcasts
        .object(id)
        .and_then(This::<BroadcastChannel>::from_object);
    let Some(channel) = object else {
        return Ok(());
    };
    // 9.1
    if channel.state().subscription.borrow().is_none() {
        return Ok(());
    }
    let Some(target) = This::<EventTarget>::from_object(channel.object().clone()) else {
        return Ok(());
    };
    // 9.2 to 9.4. The last who listens gets the message itself.
    let origin = JsString::from(broadcast.origin.as_str());
    let message = match Arc::try_unwrap(broadcast) {
        Ok(broadcast) => Some(broadcast.message),
        Err(broadcast) => broadcast.message.duplicate(),
    };
    fire_message(&target, message, origin, context)
}

/// To be called when the listeners of `target` have changed.
pub(super) fn listeners_changed(target: &JsObject) {
    let Some(channel) = This::<BroadcastChannel>::from_object(target.clone()) else {
        return;
    };
    let subscription = channel.state().subscription.borrow().clone();
    if let Some(subscription) = subscription
        && let Some(broadcasts) = subscription.agent()
    {
        broadcasts.refresh(subscription.id());
    }
}
