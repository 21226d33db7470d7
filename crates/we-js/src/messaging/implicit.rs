//! [`ImplicitPort`]: a port without a `MessagePort` object, such as a worker and its `Worker` object have one each.

use boa_engine::{Context, JsResult, JsValue};

use super::{end::PortEnd, ports::Attached, post};
use crate::{binding::This, dom::EventTarget, event_loop::LoopState};

/// How an agent treats a port.
#[derive(Clone, Copy)]
pub(crate) struct Behavior {
    /// Called as a task, once, when the other end has been closed and all messages have been delivered.
    pub(crate) closed: fn(&This<EventTarget>, &mut Context) -> JsResult<()>,
}

/// An end of a channel whose messages are events at an object that is no `MessagePort`.
///
/// The object is a root of the collector until the port is closed from either side, as its agent's end does too. So
/// this may be a part of that object's state.
pub(crate) struct ImplicitPort(Attached);

impl ImplicitPort {
    /// Gives an end to the context's agent, with `target` as its [message event target][spec]. Nothing is delivered
    /// before [`start`](Self::start).
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/web-messaging.html#message-event-target
    pub(crate) fn adopt(
        end: PortEnd,
        target: &This<EventTarget>,
        behavior: Behavior,
        context: &Context,
    ) -> JsResult<Self> {
        let ports = LoopState::of(context)?.ports().clone();
        Ok(Self(ports.adopt(end, target.clone(), behavior)))
    }

    /// Enables the port's message queue.
    pub(crate) fn start(&self) {
        self.0.side().enable();
    }

    /// Posts without borrowing the port.
    pub(crate) fn sender(&self) -> Sender {
        Sender(self.0.side())
    }

    /// Closes the channel. What has been posted is delivered at the other end; what this end was sent is not.
    pub(crate) fn close(self) {
        if let Some(ports) = self.0.ports() {
            ports.let_go(self.0.id());
        }
    }
}

/// Posts through an [`ImplicitPort`] without borrowing it.
pub(crate) struct Sender(super::end::Side);

/// `postMessage(message, transfer)` and `postMessage(message, options)` of an object with an implicit port. A port that
/// has gone takes the message and loses it.
pub(crate) fn post_message(
    port: Option<&Sender>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<()> {
    post::post_message(port.map(|port| &port.0), None, args, context)
}
