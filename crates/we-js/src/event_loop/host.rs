//! What the event loop asks of the layer above it: to report exceptions and to fire the events that the HTML
//! standard's loop fires. The event layer implements [`LoopHost`]; tests of the loop use a fake.

use boa_engine::context::intrinsics::Intrinsics;
use boa_engine::{Context, JsError, JsObject, JsValue};

use crate::messaging::Notice;
use crate::network::{SocketEvent, SocketId};

/// What became of a cancelable event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventResult {
    /// Some listener called `preventDefault()`.
    Canceled,
    /// No listener objected: the default action follows.
    NotCanceled,
}

/// The event layer, as the loop sees it.
///
/// Each call comes from the loop with no script on the stack. An implementation that calls listeners does so
/// through [`LoopState::run_callback`](super::LoopState::run_callback), which performs the microtask checkpoint
/// after each.
pub(crate) trait LoopHost {
    /// Creates the global object of a new realm: an ordinary object unless the host has a better one.
    fn create_global_object(&self, intrinsics: &Intrinsics) -> JsObject {
        JsObject::with_object_proto(intrinsics)
    }

    /// [Report an exception](https://html.spec.whatwg.org/#report-the-exception) that no script caught.
    ///
    /// `error` may be an error of the engine itself ([`JsError::as_engine`]: a runtime limit), for which there is
    /// no JavaScript value.
    fn report_exception(&self, error: JsError, context: &mut Context);

    /// The program that the agent began with has run for the first time: to its end, or to the first `await` at the top
    /// level of a module. What it threw has been reported.
    fn program_started(&self, _context: &mut Context) {}

    /// The program does not run, since what it imports cannot be loaded, parsed or linked.
    fn program_failed(&self, error: JsError, context: &mut Context) {
        self.report_exception(error, context);
    }

    /// Fires `unhandledrejection` for a rejected promise that has no handler, and does what an event that was
    /// not canceled asks for: telling the developer.
    fn fire_unhandled_rejection(
        &self,
        promise: &JsObject,
        reason: &JsValue,
        context: &mut Context,
    ) -> EventResult;

    /// Fires `rejectionhandled` for a promise whose `unhandledrejection` was fired and that now has a handler.
    fn fire_rejection_handled(&self, promise: &JsObject, reason: &JsValue, context: &mut Context);

    /// Runs the steps of the [posted message task source][spec] for what a port was sent. The port may be gone by now.
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/web-messaging.html#posted-message-task-source
    fn deliver_notice(&self, notice: Notice, context: &mut Context);

    /// Runs the steps of the [WebSocket task source](https://websockets.spec.whatwg.org/#websocket-task-source) for an
    /// event of a connection. The socket may be gone by now: then nobody is there to be told.
    fn deliver_socket_event(&self, id: SocketId, event: SocketEvent, context: &mut Context);
}
