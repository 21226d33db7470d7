//! What the network says, told to the script: <https://websockets.spec.whatwg.org/#feedback-from-the-protocol>
//!
//! Each function is one task on the WebSocket task source; the event loop performs a microtask checkpoint after
//! each listener and at the task's end.

use boa_engine::{Context, JsResult, JsValue, js_string, object::builtins::JsArrayBuffer};
use we_net::protocol::{Message, Payload};

use super::{BinaryType, ReadyState, Sockets, WebSocket, registry::Owner};
use crate::{
    binding::{This, from_utf8},
    dom::{
        EventDetail, EventInit, EventTarget,
        dispatch::{fire, fire_with},
        events::CloseEvent,
        message_event::MessageEvent,
        report::report_exception,
    },
    event_loop::LoopState,
    file::Blob,
    network::{Closed, SocketEvent, SocketId},
};

/// Delivers one event of the connection `id`.
pub(crate) fn deliver(id: SocketId, event: SocketEvent, context: &mut Context) {
    let sockets = Sockets::of(context);
    let Some(owner) = sockets.get(id) else {
        return;
    };
    let is_last = matches!(event, SocketEvent::Closed(_));
    let result = match owner {
        Owner::Socket(socket) => deliver_to_socket(&socket, event, context),
        Owner::Stream(session) => session.deliver(event, context),
        Owner::Served(session) => session.deliver(event, context),
    };
    if is_last {
        sockets.remove(id);
    }
    if let Err(error) = result {
        report_exception(error, context);
    }
}

/// Dispatches what the event means to a `WebSocket`.
fn deliver_to_socket(
    socket: &This<WebSocket>,
    event: SocketEvent,
    context: &mut Context,
) -> JsResult<()> {
    let Some(target) = This::<EventTarget>::from_object(socket.object().clone()) else {
        return Ok(());
    };
    match event {
        SocketEvent::Open {
            protocol,
            extensions,
        } => opened(socket, &target, &protocol, &extensions, context),
        SocketEvent::Message(message) => {
            let result = received(socket, &target, message, context);
            if result.is_err() {
                // The message cannot be given to the script (it is larger than the embedder's limit for buffers). What
                // follows must not look as if nothing were missing.
                fail(socket);
            }
            result
        }
        // `bufferedAmount` is read when a script asks.
        SocketEvent::Flushed => Ok(()),
        SocketEvent::Closing => {
            closing_started(socket);
            Ok(())
        }
        SocketEvent::Closed(closure) => closed(socket, &target, &closure, context),
    }
}

/// Ends a connection whose message was lost; `error` and `close` follow.
fn fail(socket: &This<WebSocket>) {
    if let Some(connection) = &*socket.state().connection.borrow() {
        connection.fail();
    }
}

/// "When the WebSocket connection is established"
fn opened(
    socket: &This<WebSocket>,
    target: &This<EventTarget>,
    protocol: &str,
    extensions: &str,
    context: &mut Context,
) -> JsResult<()> {
    {
        let state = socket.state();
        // `close()` was called while the handshake was on its way: the connection is being failed.
        if state.ready_state.get() != ReadyState::Connecting {
            return Ok(());
        }
        // 1. to 3.
        state.ready_state.set(ReadyState::Open);
        *state.extensions.borrow_mut() = from_utf8(extensions);
        *state.protocol.borrow_mut() = from_utf8(protocol);
    }
    // 4.
    fire(target, js_string!("open"), context).map(drop)
}

/// "When a WebSocket message has been received"
fn received(
    socket: &This<WebSocket>,
    target: &This<EventTarget>,
    message: Message,
    context: &mut Context,
) -> JsResult<()> {
    // 1.
    let (binary_type, origin) = {
        let state = socket.state();
        if state.ready_state.get() != ReadyState::Open {
            return Ok(());
        }
        (state.binary_type.get(), state.origin.clone())
    };
    LoopState::of(context)?.account_external(message.len());
    // 2.
    let data: JsValue = match message {
        Message::Text(text) => from_utf8(&text).into(),
        Message::Binary(payload) => binary(payload, binary_type, context)?,
    };
    // 3.
    let detail = EventDetail::Message(MessageEvent::new(data, origin));
    fire_with::<MessageEvent>(
        target,
        js_string!("message"),
        EventInit::default(),
        detail,
        context,
    )
    .map(drop)
}

/// The payload's own block of memory becomes the Blob's or the ArrayBuffer's.
pub(crate) fn binary(
    payload: Payload,
    binary_type: BinaryType,
    context: &mut Context,
) -> JsResult<JsValue> {
    let bytes = payload.into_inner();
    match binary_type {
        BinaryType::Blob => Ok(Blob::object(bytes, js_string!(), context)?.into()),
        BinaryType::ArrayBuffer => Ok(JsArrayBuffer::from_byte_block(bytes, context)?.into()),
    }
}

/// "When the WebSocket closing handshake is started"
fn closing_started(socket: &This<WebSocket>) {
    let state = socket.state();
    if state.ready_state.get() != ReadyState::Closed {
        state.ready_state.set(ReadyState::Closing);
    }
}

/// "When the WebSocket connection is closed"
fn closed(
    socket: &This<WebSocket>,
    target: &This<EventTarget>,
    closure: &Closed,
    context: &mut Context,
) -> JsResult<()> {
    {
        let state = socket.state();
        // 1.
        state.ready_state.set(ReadyState::Closed);
        if let Some(connection) = state.connection.borrow_mut().take() {
            state.buffered_amount.settle(connection.flushed_bytes());
        }
    }
    // 2. The connection was failed, or its buffer was full.
    if !closure.clean {
        fire(target, js_string!("error"), context)?;
    }
    // 3.
    let detail = EventDetail::Close(CloseEvent {
        was_clean: closure.clean,
        code: closure.code,
        reason: from_utf8(&closure.reason),
    });
    fire_with::<CloseEvent>(
        target,
        js_string!("close"),
        EventInit::default(),
        detail,
        context,
    )
    .map(drop)
}
