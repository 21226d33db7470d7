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

use std::path::Path;

use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue, NativeFunction, Source,
    js_string,
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

/// What an application imports.
const PUBLIC: &str = "export { routes, sse, websocket } from 'we:serve/app';";

/// The module of a `we:` URL, if there is one.
pub(crate) fn built_in_module(url: &Url, context: &mut Context) -> Option<JsResult<Module>> {
    let (name, text) = match url.as_str() {
        name @ "we:serve" => (name, PUBLIC),
        name @ "we:serve/app" => (name, include_str!("app.js")),
        "we:serve/native" => return Some(Ok(native_module(context))),
        _ => return None,
    };
    let source = Source::from_bytes(text).with_path(Path::new(name));
    Some(Module::parse(source, None, context))
}

/// What a function of the module does.
type Steps = fn(&JsValue, &[JsValue], &mut Context) -> JsResult<JsValue>;

/// The module of what is not written in JavaScript.
fn native_module(context: &mut Context) -> Module {
    let initializer = SyntheticModuleInitializer::from_copy_closure(|module, context| {
        let functions: [(_, Steps); 2] = [("websocket", websocket), ("isWebSocket", is_websocket)];
        for (name, function) in functions {
            let name = JsString::from(name);
            let function = NativeFunction::from_fn_ptr(function);
            let function = FunctionObjectBuilder::new(context.realm(), function)
                .name(name.clone())
                .length(1)
                .build();
            module.set_export(&name, function.into())?;
        }
        Ok(())
    });
    let exports = [js_string!("websocket"), js_string!("isWebSocket")];
    Module::synthetic(&exports, initializer, None, None, context)
}

/// `isWebSocket(value)`: whether it is what `websocket()` has returned
fn is_websocket(_: &JsValue, args: &[JsValue], _: &mut Context) -> JsResult<JsValue> {
    Ok(Handlers::of(args.get_or_undefined(0)).is_some().into())
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
