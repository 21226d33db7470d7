//! `ServerWebSocket`: the server's end of a connection, as an application sees it. What it shares with `WebSocket` behaves as
//! there.

use std::cell::{Cell, RefCell};

use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue, object::JsObject,
};
use boa_gc::{Finalize, Trace};
use we_net::protocol::{CloseCode, CloseFrame, CloseReason};

use super::ConnectionInfo;
use crate::{
    binding::{
        Definition, IntegerConversion, Interface, PlatformObject, This, create, from_utf8,
        unsigned_integer, usv_string,
    },
    event_loop::LoopState,
    fetch::headers_object,
    network::SocketHandle,
    websocket::{BufferedAmount, Data},
};

/// The longest payload of a Ping: <https://www.rfc-editor.org/rfc/rfc6455#section-5.5>
const MAX_PING: u64 = 125;

/// The state of a `ServerWebSocket`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct ServerWebSocket {
    url: JsString,
    protocol: JsString,
    extensions: JsString,
    remote_address: JsString,
    headers: JsObject,
    #[unsafe_ignore_trace]
    ready_state: Cell<ReadyState>,
    #[unsafe_ignore_trace]
    buffered_amount: BufferedAmount,
    /// The link to the server; gone once the connection is closed.
    #[unsafe_ignore_trace]
    link: RefCell<Option<SocketHandle>>,
}

/// <https://websockets.spec.whatwg.org/#dom-websocket-readystate>; a socket that an application has is no longer connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadyState {
    Open = 1,
    Closing = 2,
    Closed = 3,
}

impl ServerWebSocket {
    /// The object of a connection that has just been opened, on a link by which `sent` bytes have gone already.
    pub(super) fn object(
        info: &ConnectionInfo,
        link: SocketHandle,
        sent: u64,
        context: &mut Context,
    ) -> JsResult<This<Self>> {
        let turn = LoopState::of(context)?.turn();
        let buffered_amount = BufferedAmount::default();
        buffered_amount.add(turn, Some(link.flushed_bytes()), sent);
        let headers = headers_object(&info.headers, context)?;
        let socket = Self {
            url: from_utf8(&info.url),
            protocol: from_utf8(&info.protocol),
            extensions: from_utf8(&info.extensions),
            remote_address: from_utf8(&info.remote_address),
            headers,
            ready_state: Cell::new(ReadyState::Open),
            buffered_amount,
            link: RefCell::new(Some(link)),
        };
        create::<Self>(socket, context)
    }

    pub(super) fn is_open(&self) -> bool {
        self.ready_state.get() == ReadyState::Open
    }

    /// The client has started the closing handshake.
    pub(super) fn closing_started(&self) {
        if self.is_open() {
            self.ready_state.set(ReadyState::Closing);
        }
    }

    /// The connection is closed.
    pub(super) fn closed(&self) {
        self.ready_state.set(ReadyState::Closed);
        if let Some(link) = self.link.borrow_mut().take() {
            self.buffered_amount.settle(link.flushed_bytes());
        }
    }

    /// Starts the closing handshake, unless it has begun.
    pub(super) fn close(&self, frame: Option<CloseFrame>) {
        if self.is_open() {
            self.ready_state.set(ReadyState::Closing);
            if let Some(link) = &*self.link.borrow() {
                link.close(frame);
            }
        }
    }

    fn flushed(&self) -> Option<u64> {
        self.link.borrow().as_ref().map(SocketHandle::flushed_bytes)
    }
}

impl PlatformObject for ServerWebSocket {}

impl Interface for ServerWebSocket {
    const NAME: &'static str = "ServerWebSocket";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        for (name, state) in [
            ("OPEN", ReadyState::Open),
            ("CLOSING", ReadyState::Closing),
            ("CLOSED", ReadyState::Closed),
        ] {
            idl.constant(name, state as i32);
        }
        idl.readonly("readyState", |this, _| {
            Ok(this.state().ready_state.get() as i32)
        });
        idl.readonly("url", |this, _| Ok(this.state().url.clone()));
        idl.readonly("protocol", |this, _| Ok(this.state().protocol.clone()));
        idl.readonly("extensions", |this, _| Ok(this.state().extensions.clone()));
        idl.readonly("remoteAddress", |this, _| {
            Ok(this.state().remote_address.clone())
        });
        idl.readonly("headers", |this, _| Ok(this.state().headers.clone()));
        idl.readonly("bufferedAmount", |this, context| {
            let turn = LoopState::of(context)?.turn();
            let state = this.state();
            Ok(state.buffered_amount.get(turn, state.flushed()) as f64)
        });
        idl.operation("send", 1, send);
        idl.operation("ping", 0, ping);
        idl.operation("close", 0, close);
        Ok(())
    }
}

/// `send((BufferSource or Blob or USVString) data)`: as <https://websockets.spec.whatwg.org/#dom-websocket-send>
fn send(
    this: &This<ServerWebSocket>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    let data = Data::from_value(args.get_or_undefined(0), context)?;
    let turn = LoopState::of(context)?.turn();
    let state = this.state();
    state.buffered_amount.add(turn, state.flushed(), data.len());
    if state.is_open()
        && let Some(link) = &*state.link.borrow()
    {
        link.send(data.into_message()?);
    }
    Ok(JsValue::undefined())
}

/// `ping(optional (BufferSource or Blob or USVString) data)`: of at most 125 bytes
fn ping(
    this: &This<ServerWebSocket>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    let payload = match args.get_or_undefined(0) {
        value if value.is_undefined() => Vec::new(),
        value => {
            let data = Data::from_value(value, context)?;
            if data.len() > MAX_PING {
                return Err(JsNativeError::range()
                    .with_message(format!(
                        "ServerWebSocket.ping: {} bytes do not fit into a Ping; at most {MAX_PING} do",
                        data.len()
                    ))
                    .into());
            }
            data.into_message()?.as_bytes().to_vec()
        }
    };
    let state = this.state();
    if state.is_open()
        && let Some(link) = &*state.link.borrow()
    {
        link.ping(payload);
    }
    Ok(JsValue::undefined())
}

/// `close(optional unsigned short code, optional USVString reason)`. Beside the codes that a web page may use these are those
/// of [RFC 6455 section 7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4) that may stand on the wire.
fn close(
    this: &This<ServerWebSocket>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    let frame = close_frame("ServerWebSocket.close", args, context)?;
    this.state().close(frame);
    Ok(JsValue::undefined())
}

/// The Close frame that a `close(code, reason)` means.
pub(super) fn close_frame(
    member: &str,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<Option<CloseFrame>> {
    let code = match args.get_or_undefined(0) {
        value if value.is_undefined() => return Ok(None),
        value => unsigned_integer(value, 16, IntegerConversion::Clamp, context)? as u16,
    };
    let Some(code) = CloseCode::new(code) else {
        return Err(JsNativeError::range()
            .with_message(format!(
                "{member}: {code} cannot be sent; use one of 1000 to 1003, 1007 to 1014 or 3000 to 4999"
            ))
            .into());
    };
    let reason = match args.get_or_undefined(1) {
        value if value.is_undefined() => String::new(),
        value => usv_string(value, context)?,
    };
    let len = reason.len();
    let reason = CloseReason::new(reason).map_err(|_| {
        JsNativeError::range().with_message(format!(
            "{member}: the reason takes {len} bytes in UTF-8, at most 123 are allowed"
        ))
    })?;
    Ok(Some(CloseFrame { code, reason }))
}
