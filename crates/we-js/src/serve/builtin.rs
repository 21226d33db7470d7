//! The module `we:serve`: how an application says what it does with a connection.
//!
//! ```js
//! import { websocket } from 'we:serve';
//!
//! export default websocket({
//!     open(socket) { socket.send(`hello, ${socket.remoteAddress}`); },
//!     message(socket, data) { socket.send(data); },
//!     close(socket, code, reason) { console.log('gone', code, reason); },
//! });
//! ```

use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue, NativeFunction, js_string,
    module::{Module, SyntheticModuleInitializer},
    object::{FunctionObjectBuilder, JsObject},
};
use boa_gc::{Finalize, Trace};
use url::Url;

/// What an application does with a connection: the callbacks given to `websocket()`.
#[derive(Clone, Trace, Finalize, JsData)]
pub(super) struct Handlers {
    /// What they are called on: the object that they came with, so that `this` in them is what one would expect.
    pub(super) this: JsObject,
    pub(super) open: Option<JsObject>,
    pub(super) message: Option<JsObject>,
    pub(super) close: Option<JsObject>,
}

impl Handlers {
    /// The handlers that a default export is, if it is what `websocket()` returned.
    pub(super) fn of(value: &JsValue) -> Option<Self> {
        value
            .as_object()?
            .downcast_ref::<Self>()
            .as_deref()
            .cloned()
    }

    fn from_object(this: JsObject, context: &mut Context) -> JsResult<Self> {
        let mut callback = |name: &str| -> JsResult<Option<JsObject>> {
            let value = this.get(JsString::from(name), context)?;
            if value.is_undefined() {
                return Ok(None);
            }
            match value.as_callable() {
                Some(callback) => Ok(Some(callback)),
                None => Err(JsNativeError::typ()
                    .with_message(format!("websocket(): \"{name}\" is not a function"))
                    .into()),
            }
        };
        let (open, message, close) = (callback("open")?, callback("message")?, callback("close")?);
        if open.is_none() && message.is_none() && close.is_none() {
            return Err(JsNativeError::typ()
                .with_message(
                    "websocket(): give it an object with the functions open, message or close",
                )
                .into());
        }
        Ok(Self {
            this,
            open,
            message,
            close,
        })
    }
}

/// The module of a `we:` URL, if there is one.
pub(crate) fn built_in_module(url: &Url, context: &mut Context) -> Option<Module> {
    if url.as_str() != "we:serve" {
        return None;
    }
    let initializer = SyntheticModuleInitializer::from_copy_closure(|module, context| {
        let websocket = NativeFunction::from_fn_ptr(websocket);
        let websocket = FunctionObjectBuilder::new(context.realm(), websocket)
            .name(js_string!("websocket"))
            .length(1)
            .build();
        module.set_export(&js_string!("websocket"), websocket.into())
    });
    let exports = [js_string!("websocket")];
    Some(Module::synthetic(
        &exports,
        initializer,
        None,
        None,
        context,
    ))
}

/// `websocket(handlers)`
fn websocket(_: &JsValue, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let Some(object) = args.get_or_undefined(0).as_object() else {
        return Err(JsNativeError::typ()
            .with_message(
                "websocket(): give it an object with the functions open, message or close",
            )
            .into());
    };
    let handlers = Handlers::from_object(object, context)?;
    let prototype = context.intrinsics().constructors().object().prototype();
    Ok(JsObject::from_proto_and_data(prototype, handlers).into())
}
