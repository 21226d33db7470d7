//! [`App`]: the routes of an application, as its instance has them.

use boa_engine::{
    Context, JsError, JsNativeError, JsResult, JsString, JsValue, js_string, object::JsObject,
};

use super::{builtin::Handlers, room::RoomHandlers};
use crate::binding::from_utf8;
use crate::event_loop::LoopState;

/// What `resolve()` of `we:serve/app` has made of the default export.
#[derive(Clone)]
pub(super) struct App {
    pub(super) object: JsObject,
    /// A line for each route: `websocket`, `room` or `http`, and the pattern.
    pub(super) manifest: String,
}

impl App {
    pub(super) fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let Some(object) = value.as_object() else {
            return Err(JsNativeError::typ()
                .with_message("there are no routes")
                .into());
        };
        let manifest = object.get(js_string!("manifest"), context)?;
        let manifest = manifest.to_string(context)?.to_std_string_lossy();
        Ok(Self { object, manifest })
    }

    /// Calls one of its functions.
    pub(super) fn call(
        &self,
        name: &'static str,
        arguments: &[JsValue],
        context: &mut Context,
    ) -> JsResult<JsValue> {
        let function = self.object.get(JsString::from(name), context)?;
        let Some(function) = function.as_callable() else {
            return Err(JsNativeError::typ()
                .with_message("there are no routes")
                .into());
        };
        let this = self.object.clone().into();
        LoopState::of(context)?.call(&function, &this, arguments, context)
    }

    /// The handlers of a route.
    pub(super) fn websocket(&self, route: &str, context: &mut Context) -> JsResult<Handlers> {
        let handlers = self.call("handlers", &[from_utf8(route).into()], context)?;
        Handlers::of(&handlers).ok_or_else(|| no_handlers(route))
    }

    /// The handlers of a route that is for rooms.
    pub(super) fn room(&self, route: &str, context: &mut Context) -> JsResult<RoomHandlers> {
        let handlers = self.call("handlers", &[from_utf8(route).into()], context)?;
        RoomHandlers::of(&handlers).ok_or_else(|| no_handlers(route))
    }
}

/// What a value is to a route.
fn no_handlers(route: &str) -> JsError {
    JsNativeError::typ()
        .with_message(format!("the route {route} has no handlers"))
        .into()
}

/// The instance has done what there was to do: has its loop end.
pub(super) fn finish(context: &Context) -> JsResult<()> {
    LoopState::of(context)?.handle().request_shutdown();
    Ok(())
}
