//! Where the interfaces of the platform meet the event loop: which globals a context gets, and what the loop
//! does with an exception that nobody caught.

use std::rc::Rc;

use boa_engine::{Context, JsError, JsObject, JsResult, JsValue};

use crate::event_loop::{EventResult, LoopHost, LoopState, Options, UncaughtError};
use crate::network::{SocketEvent, SocketId};

/// Defines the interfaces of the platform on the context's global object.
pub(crate) fn install(_context: &mut Context) -> JsResult<()> {
    Ok(())
}

/// The host of a loop that is built with `options`.
pub(crate) fn host(_options: &Options) -> Rc<dyn LoopHost> {
    Rc::new(PlainHost)
}

/// A host without events: every uncaught error goes to the embedder's reporter.
struct PlainHost;

impl LoopHost for PlainHost {
    fn report_exception(&self, error: JsError, context: &mut Context) {
        let report = UncaughtError::exception(&error);
        if let Ok(state) = LoopState::of(context) {
            state.report_to_embedder(&report);
        }
    }

    fn fire_unhandled_rejection(
        &self,
        _promise: &JsObject,
        reason: &JsValue,
        context: &mut Context,
    ) -> EventResult {
        let report = UncaughtError::rejection(reason);
        if let Ok(state) = LoopState::of(context) {
            state.report_to_embedder(&report);
        }
        EventResult::NotCanceled
    }

    fn fire_rejection_handled(&self, _: &JsObject, _: &JsValue, _: &mut Context) {}

    fn deliver_socket_event(&self, _: SocketId, _: SocketEvent, _: &mut Context) {}
}
