//! The events that other standards derive from `Event`, as far as this platform fires them.
//!
//! Each is its IDL: a dictionary read by the constructor, and read-only attributes.

use boa_engine::{Context, JsArgs, JsResult, JsString, JsValue, object::JsObject};
use boa_gc::{Finalize, GcRefCell, Trace};

use super::{
    Event, EventDetail, EventObject,
    event::{self, construct_with},
};
use crate::binding::{Definition, IntegerConversion, Interface, This, unsigned_integer};

/// `CloseEvent`: <https://websockets.spec.whatwg.org/#the-closeevent-interface>
#[derive(Trace, Finalize)]
pub(crate) struct CloseEvent {
    pub(crate) was_clean: bool,
    pub(crate) code: u16,
    pub(crate) reason: JsString,
}

impl Interface for CloseEvent {
    const NAME: &'static str = "CloseEvent";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        if let EventDetail::Close(close) = &root.detail {
            Some(close)
        } else {
            None
        }
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Event>()?;
        idl.constructor(1, |new_target, args, context| {
            construct_with(new_target, args, context, |init, context| {
                let code = match init.get("code", context)? {
                    Some(value) => {
                        unsigned_integer(&value, 16, IntegerConversion::Wrap, context)? as u16
                    }
                    None => 0,
                };
                let reason = init.usv_string("reason", context)?.unwrap_or_default();
                let was_clean = init.boolean("wasClean", false, context)?;
                Ok(EventDetail::Close(Self {
                    was_clean,
                    code,
                    reason,
                }))
            })
        });
        idl.readonly("wasClean", |this, _| Ok(this.state().was_clean));
        idl.readonly("code", |this, _| Ok(this.state().code));
        idl.readonly("reason", |this, _| Ok(this.state().reason.clone()));
        Ok(())
    }
}

/// `ErrorEvent`: <https://html.spec.whatwg.org/multipage/webappapis.html#errorevent>
#[derive(Trace, Finalize)]
pub(crate) struct ErrorEvent {
    pub(crate) message: JsString,
    pub(crate) filename: JsString,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) error: JsValue,
}

impl Interface for ErrorEvent {
    const NAME: &'static str = "ErrorEvent";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        if let EventDetail::Error(error) = &root.detail {
            Some(error)
        } else {
            None
        }
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Event>()?;
        idl.constructor(1, |new_target, args, context| {
            construct_with(new_target, args, context, |init, context| {
                let position = |name, context: &mut Context| match init.get(name, context)? {
                    Some(value) => {
                        Ok(unsigned_integer(&value, 32, IntegerConversion::Wrap, context)? as u32)
                    }
                    None => JsResult::Ok(0),
                };
                let column = position("colno", context)?;
                let error = init.get("error", context)?.unwrap_or_default();
                let filename = init.usv_string("filename", context)?.unwrap_or_default();
                let line = position("lineno", context)?;
                let message = init.string("message", context)?.unwrap_or_default();
                Ok(EventDetail::Error(Self {
                    message,
                    filename,
                    line,
                    column,
                    error,
                }))
            })
        });
        idl.readonly("message", |this, _| Ok(this.state().message.clone()));
        idl.readonly("filename", |this, _| Ok(this.state().filename.clone()));
        idl.readonly("lineno", |this, _| Ok(this.state().line));
        idl.readonly("colno", |this, _| Ok(this.state().column));
        idl.readonly("error", |this, _| Ok(this.state().error.clone()));
        Ok(())
    }
}

/// `PromiseRejectionEvent`: <https://html.spec.whatwg.org/multipage/webappapis.html#promiserejectionevent>
#[derive(Trace, Finalize)]
pub(crate) struct PromiseRejectionEvent {
    pub(crate) promise: JsObject,
    pub(crate) reason: JsValue,
}

impl Interface for PromiseRejectionEvent {
    const NAME: &'static str = "PromiseRejectionEvent";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        if let EventDetail::Rejection(rejection) = &root.detail {
            Some(rejection)
        } else {
            None
        }
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Event>()?;
        idl.constructor(2, |new_target, args, context| {
            construct_with(new_target, args, context, |init, context| {
                let promise = init
                    .get("promise", context)?
                    .and_then(|promise| promise.as_object());
                let promise = promise
                    .ok_or_else(|| type_error("init.promise is required and must be an object"))?;
                let reason = init.get("reason", context)?.unwrap_or_default();
                Ok(EventDetail::Rejection(Self { promise, reason }))
            })
        });
        idl.readonly("promise", |this, _| Ok(this.state().promise.clone()));
        idl.readonly("reason", |this, _| Ok(this.state().reason.clone()));
        Ok(())
    }
}

/// `CustomEvent`: <https://dom.spec.whatwg.org/#interface-customevent>
#[derive(Trace, Finalize)]
pub(crate) struct CustomEvent {
    detail: GcRefCell<JsValue>,
}

impl Interface for CustomEvent {
    const NAME: &'static str = "CustomEvent";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        if let EventDetail::Custom(custom) = &root.detail {
            Some(custom)
        } else {
            None
        }
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Event>()?;
        idl.constructor(1, |new_target, args, context| {
            construct_with(new_target, args, context, |init, context| {
                let detail = init.get("detail", context)?.unwrap_or(JsValue::null());
                Ok(EventDetail::Custom(Self {
                    detail: GcRefCell::new(detail),
                }))
            })
        });
        idl.readonly("detail", |this, _| Ok(this.state().detail.borrow().clone()));
        idl.operation("initCustomEvent", 1, |this, args, context| {
            let kind = args.get_or_undefined(0).to_string(context)?;
            let bubbles = args.get_or_undefined(1).to_boolean();
            let cancelable = args.get_or_undefined(2).to_boolean();
            let detail = or_null(args.get(3));
            if let Some(event) = This::<Event>::from_object(this.object().clone())
                && event::initialize(&event, kind, bubbles, cancelable)
            {
                *this.state().detail.borrow_mut() = detail;
            }
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}

/// An optional argument whose default is null: `undefined` stands for it too.
pub(super) fn or_null(value: Option<&JsValue>) -> JsValue {
    match value {
        Some(value) if !value.is_undefined() => value.clone(),
        _ => JsValue::null(),
    }
}

pub(super) fn type_error(message: &'static str) -> boa_engine::JsError {
    boa_engine::JsNativeError::typ()
        .with_message(message)
        .into()
}
