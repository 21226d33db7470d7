//! The `WebSocket` interface: <https://websockets.spec.whatwg.org/#the-websocket-interface>
//!
//! Three things live here: the interface as a script sees it (this file), what happens on the event loop when
//! the network has something to say ([`delivery`]), and the registry that keeps a socket alive ([`registry`]).
//! The connection itself is the network's; a [`SocketHandle`] is all that this module knows of it. Beside it is the
//! interface [`WebSocketStream`] ([`stream`]), with which it shares how a connection is [established](establish) and
//! [closed](close).

mod buffered_amount;
mod close;
mod data;
mod delivery;
mod establish;
mod registry;
mod stream;

use std::cell::{Cell, RefCell};

use boa_engine::{
    Context, JsArgs, JsData, JsResult, JsString, JsValue, js_string, object::JsObject,
};
use boa_gc::{Finalize, GcRefCell, Trace};

use self::establish::Target;
pub(crate) use self::{
    buffered_amount::BufferedAmount,
    data::Data,
    delivery::{binary, deliver},
    registry::{Owner, Sockets},
    stream::{WebSocketError, WebSocketStream},
};
use crate::{
    binding::{
        Definition, IntegerConversion, Interface, NewTarget, This, from_utf8, sequence,
        to_usv_string, unsigned_integer, usv_string,
    },
    dom::{DomException, ErrorName, EventTarget, EventTargetObject, event_handler},
    event_loop::LoopState,
    network::{Delivery, SocketHandle},
};

/// The state of a `WebSocket`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct WebSocket {
    url: JsString,
    /// The serialized origin of `url`, which its message events carry.
    origin: JsString,
    #[unsafe_ignore_trace]
    ready_state: Cell<ReadyState>,
    #[unsafe_ignore_trace]
    binary_type: Cell<BinaryType>,
    protocol: GcRefCell<JsString>,
    extensions: GcRefCell<JsString>,
    #[unsafe_ignore_trace]
    buffered_amount: BufferedAmount,
    /// The connection; gone once it is closed.
    #[unsafe_ignore_trace]
    connection: RefCell<Option<SocketHandle>>,
}

/// <https://websockets.spec.whatwg.org/#dom-websocket-readystate>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadyState {
    Connecting = 0,
    Open = 1,
    Closing = 2,
    Closed = 3,
}

/// <https://websockets.spec.whatwg.org/#dom-websocket-binarytype>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryType {
    Blob,
    ArrayBuffer,
}

impl BinaryType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::ArrayBuffer => "arraybuffer",
        }
    }
}

impl Interface for WebSocket {
    const NAME: &'static str = "WebSocket";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        root.kind()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()?;
        idl.constructor(1, construct);
        idl.readonly("url", |this, _| Ok(this.state().url.clone()));

        // ready state
        for state in [
            ReadyState::Connecting,
            ReadyState::Open,
            ReadyState::Closing,
            ReadyState::Closed,
        ] {
            let name = match state {
                ReadyState::Connecting => "CONNECTING",
                ReadyState::Open => "OPEN",
                ReadyState::Closing => "CLOSING",
                ReadyState::Closed => "CLOSED",
            };
            idl.constant(name, state as i32);
        }
        idl.readonly("readyState", |this, _| {
            Ok(this.state().ready_state.get() as i32)
        });
        idl.readonly("bufferedAmount", buffered_amount);

        // networking
        event_handler::define(idl, "onopen");
        event_handler::define(idl, "onerror");
        event_handler::define(idl, "onclose");
        idl.readonly("extensions", |this, _| {
            Ok(this.state().extensions.borrow().clone())
        });
        idl.readonly("protocol", |this, _| {
            Ok(this.state().protocol.borrow().clone())
        });
        idl.operation("close", 0, close);

        // messaging
        event_handler::define(idl, "onmessage");
        idl.attribute(
            "binaryType",
            |this, _| Ok(js_string!(this.state().binary_type.get().as_str())),
            |this, value, context| {
                // An enumeration: any other value is ignored.
                let value = value.to_string(context)?;
                for binary_type in [BinaryType::Blob, BinaryType::ArrayBuffer] {
                    if value == js_string!(binary_type.as_str()) {
                        this.state().binary_type.set(binary_type);
                    }
                }
                Ok(())
            },
        );
        idl.operation("send", 1, send);
        Ok(())
    }
}

/// <https://websockets.spec.whatwg.org/#dom-websocket-websocket>
fn construct(
    new_target: &NewTarget<WebSocket>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let url = usv_string(args.get_or_undefined(0), context)?;
    let protocols = protocols(args.get_or_undefined(1), context)?;
    let new_object = new_target.prepare(context)?;
    // 1. to 4.
    let target = Target::new(WebSocket::NAME, &url, protocols, context)?;
    // 5. to 7. The handshake runs in parallel; it begins when this task has ended.
    let socket = WebSocket {
        url: from_utf8(target.url().as_str()),
        origin: from_utf8(&target.url().origin()),
        ready_state: Cell::new(ReadyState::Connecting),
        binary_type: Cell::new(BinaryType::Blob),
        protocol: GcRefCell::new(js_string!()),
        extensions: GcRefCell::new(js_string!()),
        buffered_amount: BufferedAmount::default(),
        connection: RefCell::new(None),
    };
    let object = new_object.create(EventTargetObject::new(socket), context)?;
    let Some(this) = This::<WebSocket>::from_object(object.clone()) else {
        return Ok(object);
    };
    let connection = target.connect(Delivery::Pushed, context)?;
    Sockets::of(context).insert(connection.id(), Owner::Socket(this.clone()));
    *this.state().connection.borrow_mut() = Some(connection);
    Ok(object)
}

/// `(DOMString or sequence<DOMString>) protocols = []`
fn protocols(value: &JsValue, context: &mut Context) -> JsResult<Vec<String>> {
    if value.is_undefined() {
        return Ok(Vec::new());
    }
    // Not a valid token with a lone surrogate either way, so the conversion to UTF-8 may be lossy.
    let convert =
        |value: JsValue, context: &mut Context| Ok(to_usv_string(&value.to_string(context)?));
    match sequence(value, context, convert)? {
        Some(protocols) => Ok(protocols),
        None => Ok(vec![convert(value.clone(), context)?]),
    }
}

/// <https://websockets.spec.whatwg.org/#dom-websocket-bufferedamount>
fn buffered_amount(this: &This<WebSocket>, context: &mut Context) -> JsResult<f64> {
    let turn = LoopState::of(context)?.turn();
    let state = this.state();
    let connection = state.connection.borrow();
    let flushed = connection.as_ref().map(SocketHandle::flushed_bytes);
    Ok(state.buffered_amount.get(turn, flushed) as f64)
}

/// <https://websockets.spec.whatwg.org/#dom-websocket-close>
fn close(this: &This<WebSocket>, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let code = match args.get_or_undefined(0) {
        value if value.is_undefined() => None,
        value => Some(unsigned_integer(value, 16, IntegerConversion::Clamp, context)? as u16),
    };
    let reason = match args.get_or_undefined(1) {
        value if value.is_undefined() => None,
        value => Some(usv_string(value, context)?),
    };
    let reason = reason.unwrap_or_default();
    close::validate("WebSocket.close", code, &reason, context)?;
    let state = this.state();
    close::start(
        &state.ready_state,
        &state.connection,
        close::frame(code, reason),
    );
    Ok(JsValue::undefined())
}

/// <https://websockets.spec.whatwg.org/#dom-websocket-send>
fn send(this: &This<WebSocket>, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let data = Data::from_value(args.get_or_undefined(0), context)?;
    let turn = LoopState::of(context)?.turn();

    let state = this.state();
    // 1.
    if state.ready_state.get() == ReadyState::Connecting {
        drop(state);
        let message = "WebSocket.send: the connection is not open yet; wait for the open event";
        return Err(DomException::error(
            ErrorName::InvalidState,
            message,
            context,
        ));
    }
    // 2. to 5. The amount grows whether or not the data will go out.
    let connection = state.connection.borrow();
    let flushed = connection.as_ref().map(SocketHandle::flushed_bytes);
    state.buffered_amount.add(turn, flushed, data.len());
    let Some(connection) = connection
        .as_ref()
        .filter(|_| state.ready_state.get() == ReadyState::Open)
    else {
        return Ok(JsValue::undefined());
    };
    connection.send(data.into_message()?);
    Ok(JsValue::undefined())
}
