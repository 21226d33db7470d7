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
    module::{Module, SyntheticModuleInitializer},
    object::{FunctionObjectBuilder, JsObject},
};
use boa_gc::{Finalize, Trace};
use url::Url;

use super::room::RoomHandlers;

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

    fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let names = ["open", "message", "close"];
        let (this, [open, message, close]) = functions("websocket", value, names, context)?;
        Ok(Self {
            this,
            open,
            message,
            close,
        })
    }
}

/// The functions of an object that `helper()` was given, at least one of these.
pub(super) fn functions<const N: usize>(
    helper: &str,
    value: &JsValue,
    names: [&str; N],
    context: &mut Context,
) -> JsResult<(JsObject, [Option<JsObject>; N])> {
    let wanted = || {
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        let others = others.join(", ");
        JsNativeError::typ().with_message(format!(
            "{helper}(): give it an object with the functions {others} or {last}"
        ))
    };
    let this = value.as_object().ok_or_else(wanted)?;
    let mut functions = [const { None }; N];
    for (function, name) in functions.iter_mut().zip(names) {
        let value = this.get(JsString::from(name), context)?;
        if value.is_undefined() {
            continue;
        }
        let Some(callback) = value.as_callable() else {
            return Err(JsNativeError::typ()
                .with_message(format!("{helper}(): \"{name}\" is not a function"))
                .into());
        };
        *function = Some(callback);
    }
    if functions.iter().all(Option::is_none) {
        return Err(wanted().into());
    }
    Ok((this, functions))
}

/// What an application imports.
const PUBLIC: &str = "export { room, routes, sse, websocket } from 'we:serve/app';";

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
    const FUNCTIONS: [(&str, Steps); 4] = [
        ("websocket", websocket),
        ("isWebSocket", is_websocket),
        ("room", room),
        ("isRoom", is_room),
    ];
    let initializer = SyntheticModuleInitializer::from_copy_closure(|module, context| {
        for (name, function) in FUNCTIONS {
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
    let exports = FUNCTIONS.map(|(name, _)| JsString::from(name));
    Module::synthetic(&exports, initializer, None, None, context)
}

/// `isWebSocket(value)`: whether it is what `websocket()` has returned
fn is_websocket(_: &JsValue, args: &[JsValue], _: &mut Context) -> JsResult<JsValue> {
    Ok(Handlers::of(args.get_or_undefined(0)).is_some().into())
}

/// `isRoom(value)`: whether it is what `room()` has returned
fn is_room(_: &JsValue, args: &[JsValue], _: &mut Context) -> JsResult<JsValue> {
    Ok(RoomHandlers::of(args.get_or_undefined(0)).is_some().into())
}

/// `websocket(handlers)`
fn websocket(_: &JsValue, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let handlers = Handlers::from_value(args.get_or_undefined(0), context)?;
    let prototype = context.intrinsics().constructors().object().prototype();
    Ok(JsObject::from_proto_and_data(prototype, handlers).into())
}

/// `room(handlers)`
fn room(_: &JsValue, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let handlers = RoomHandlers::from_value(args.get_or_undefined(0), context)?;
    let prototype = context.intrinsics().constructors().object().prototype();
    Ok(JsObject::from_proto_and_data(prototype, handlers).into())
}
