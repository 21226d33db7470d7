//! `WebSocketError`: <https://github.com/whatwg/websockets/pull/48>

use boa_engine::{Context, JsArgs, JsResult, JsString, JsValue, js_string, object::JsObject};
use boa_gc::{Finalize, Trace};
use we_net::protocol::CloseFrame;

use crate::{
    binding::{
        self, Definition, Dictionary, IntegerConversion, Interface, NewTarget, This, from_utf8,
        to_usv_string, unsigned_integer,
    },
    dom::DomException,
    websocket::close,
};

/// What a `WebSocketError` is beside a `DOMException`.
#[derive(Trace, Finalize)]
pub(crate) struct WebSocketError {
    close_code: Option<u16>,
    reason: JsString,
}

/// The dictionary `WebSocketCloseInfo`, its members valid for a Close frame.
#[derive(Debug, Default)]
pub(super) struct CloseInfo {
    close_code: Option<u16>,
    reason: String,
}

impl CloseInfo {
    /// The conversion from a value, and the validation that `member` demands. A reason needs a code: it is 1000 if none
    /// is given.
    pub(super) fn from_value(
        value: &JsValue,
        member: &str,
        context: &mut Context,
    ) -> JsResult<Self> {
        let dictionary = Dictionary::new(value)?;
        let close_code = dictionary
            .get("closeCode", context)?
            .map(|code| unsigned_integer(&code, 16, IntegerConversion::EnforceRange, context))
            .transpose()?
            .map(|code| code as u16);
        let reason = dictionary.string("reason", context)?;
        let reason = reason.map_or_else(String::new, |reason| to_usv_string(&reason));
        close::validate(member, close_code, &reason, context)?;
        Ok(Self {
            close_code: close_code.or((!reason.is_empty()).then_some(1000)),
            reason,
        })
    }

    /// What a stream is closed with that is canceled or aborted for this reason.
    pub(super) fn of_reason(reason: &JsValue) -> Self {
        let Some(error) = This::<WebSocketError>::from_value(reason) else {
            return Self::default();
        };
        let error = error.state();
        Self {
            close_code: error.close_code,
            reason: to_usv_string(&error.reason),
        }
    }

    pub(super) fn into_frame(self) -> Option<CloseFrame> {
        close::frame(self.close_code, self.reason)
    }
}

impl WebSocketError {
    pub(crate) fn new(close_code: Option<u16>, reason: JsString) -> Self {
        Self { close_code, reason }
    }

    /// An object with this state, whose code may be one that scripts cannot give.
    pub(crate) fn object(self, message: JsString, context: &mut Context) -> JsResult<JsObject> {
        let root = DomException::of_websocket(message, self);
        Ok(binding::create::<Self>(root, context)?.object().clone())
    }

    pub(crate) fn close_code(&self) -> Option<u16> {
        self.close_code
    }

    pub(crate) fn reason(&self) -> &JsString {
        &self.reason
    }
}

impl Interface for WebSocketError {
    const NAME: &'static str = "WebSocketError";
    type Root = DomException;

    fn project(root: &DomException) -> Option<&Self> {
        root.websocket_error()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<DomException>()?;
        idl.constructor(0, construct);
        idl.readonly("closeCode", |this, _| {
            Ok(this
                .state()
                .close_code
                .map_or_else(JsValue::null, JsValue::from))
        });
        idl.readonly("reason", |this, _| Ok(this.state().reason.clone()));
        Ok(())
    }
}

/// `constructor(optional DOMString message = "", optional WebSocketCloseInfo init = {})`
fn construct(
    new_target: &NewTarget<WebSocketError>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let message = match args.get_or_undefined(0) {
        value if value.is_undefined() => js_string!(),
        value => value.to_string(context)?,
    };
    let info = CloseInfo::from_value(args.get_or_undefined(1), WebSocketError::NAME, context)?;
    let error = WebSocketError::new(info.close_code, from_utf8(&info.reason));
    new_target.create(DomException::of_websocket(message, error), context)
}
