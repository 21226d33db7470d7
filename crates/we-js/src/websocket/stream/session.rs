//! A connection as a `WebSocketStream` has it, and what the network says of it.
//!
//! As long as the connection lives, the session is in the registry of sockets and so a root of the collector, whatever
//! has become of the object that a script made and of the two streams.

use std::cell::{Cell, RefCell};

use boa_engine::{Context, JsResult, JsString, JsValue, js_string, object::JsObject};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};
use we_net::protocol::CloseFrame;

use super::{
    WebSocketError,
    incoming::{End, Incoming, Source},
    outgoing::{Outgoing, Sink},
};
use crate::{
    abort::{AbortAlgorithm, AbortSignal},
    binding::{Promise, This, from_utf8},
    dom::{DomException, ErrorName},
    network::{Closed, SocketEvent, SocketHandle},
    streams::{ReadableStream, Strategy, WritableStream},
    websocket::{ReadyState, close},
};

/// The state that a `WebSocketStream`, its streams and the event loop share. Clones are the same session.
#[derive(Clone, Trace, Finalize)]
pub(crate) struct Session(Gc<Slots>);

#[derive(Trace, Finalize)]
struct Slots {
    opened: Promise,
    closed: Promise,
    #[unsafe_ignore_trace]
    ready_state: Cell<ReadyState>,
    /// "was ever connected": whether the script was told so.
    #[unsafe_ignore_trace]
    was_connected: Cell<bool>,
    /// The connection; gone once it is closed.
    #[unsafe_ignore_trace]
    connection: RefCell<Option<SocketHandle>>,
    /// The signal that ends the handshake, as long as there is one.
    abort: GcRefCell<Option<(JsObject, AbortAlgorithm)>>,
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Session {
    pub(super) fn new() -> Self {
        let slots = Slots {
            opened: Promise::new(),
            closed: Promise::new(),
            ready_state: Cell::new(ReadyState::Connecting),
            was_connected: Cell::new(false),
            connection: RefCell::new(None),
            abort: GcRefCell::new(None),
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
        };
        // A script that looks at one of the two only has seen the error.
        slots.opened.mark_as_handled();
        slots.closed.mark_as_handled();
        Self(Gc::new(slots))
    }

    pub(super) fn connect(&self, connection: SocketHandle) {
        *self.0.connection.borrow_mut() = Some(connection);
    }

    pub(super) fn opened(&self) -> &Promise {
        &self.0.opened
    }

    pub(super) fn closed(&self) -> &Promise {
        &self.0.closed
    }

    pub(super) fn incoming(&self) -> &Incoming {
        &self.0.incoming
    }

    pub(super) fn outgoing(&self) -> &Outgoing {
        &self.0.outgoing
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.ready_state.get() == ReadyState::Open
    }

    /// Calls `act` with the connection, unless that is gone.
    pub(super) fn with_connection<R>(&self, act: impl FnOnce(&SocketHandle) -> R) -> Option<R> {
        self.0.connection.borrow().as_ref().map(act)
    }

    /// [Close the WebSocket](https://websockets.spec.whatwg.org/#close-the-websocket)
    pub(super) fn close(&self, frame: Option<CloseFrame>) {
        self.release_messages();
        close::start(&self.0.ready_state, &self.0.connection, frame);
    }

    /// Messages that wait to be read hold up the peer only while the connection is open: a closing handshake must not wait
    /// for a reader.
    fn release_messages(&self) {
        if self.is_open() {
            self.with_connection(|connection| self.0.incoming.release(connection));
        }
    }

    /// Has the handshake end when `signal` is aborted.
    pub(super) fn observe(&self, signal: &This<AbortSignal>) {
        let algorithm = AbortAlgorithm::new(self.clone(), |session, reason, context| {
            session.give_up(reason, context)
        });
        algorithm.add_to(signal);
        *self.0.abort.borrow_mut() = Some((signal.object().clone(), algorithm));
    }

    fn stop_observing(&self) {
        let abort = self.0.abort.borrow_mut().take();
        if let Some((signal, algorithm)) = abort {
            algorithm.remove_from(&signal);
        }
    }

    /// The abort steps: an established connection is not concerned.
    pub(super) fn give_up(&self, reason: &JsValue, context: &mut Context) -> JsResult<()> {
        if self.0.ready_state.get() != ReadyState::Connecting {
            return Ok(());
        }
        // Sets the state, unless there is no connection yet.
        self.close(None);
        self.0.ready_state.set(ReadyState::Closing);
        self.0.opened.reject(reason.clone(), context)?;
        self.0.closed.reject(reason.clone(), context)
    }

    /// What the network says: <https://websockets.spec.whatwg.org/#feedback-from-the-protocol>
    pub(crate) fn deliver(&self, event: SocketEvent, context: &mut Context) -> JsResult<()> {
        match event {
            SocketEvent::Open {
                protocol,
                extensions,
            } => self.handle_open(&protocol, &extensions, context),
            SocketEvent::Message(message) => Incoming::receive(self, message, context),
            SocketEvent::Flushed => self.0.outgoing.flushed(context),
            SocketEvent::Closing => {
                self.handle_closing();
                Ok(())
            }
            SocketEvent::Closed(closure) => self.handle_closed(&closure, context),
        }
    }

    /// "When the WebSocket connection is established"
    fn handle_open(&self, protocol: &str, extensions: &str, context: &mut Context) -> JsResult<()> {
        self.stop_observing();
        // Closed while the handshake was on its way: the connection is being failed.
        if self.0.ready_state.get() != ReadyState::Connecting {
            return Ok(());
        }
        self.0.ready_state.set(ReadyState::Open);
        self.0.was_connected.set(true);
        let start = Promise::fulfilled();
        // No chunk is in the stream's own queue before a reader asks for it: what waits, waits where it is counted.
        let source = Source(self.clone());
        let (readable, controller) =
            ReadableStream::new(source, &start, Strategy::count(0.0), context)?;
        self.0.incoming.set_up(controller);
        let sink = Sink(self.clone());
        let writable = WritableStream::new(sink, &start, Strategy::count(1.0), context)?;
        self.0.outgoing.set_up(writable.clone());
        // The dictionary `WebSocketOpenInfo`
        let readable = readable.object(context)?;
        let writable = writable.object(context)?;
        let info = dictionary(
            [
                ("extensions", from_utf8(extensions).into()),
                ("protocol", from_utf8(protocol).into()),
                ("readable", readable.into()),
                ("writable", writable.into()),
            ],
            context,
        )?;
        self.0.opened.resolve(info, context)
    }

    /// "When the WebSocket closing handshake is started": by the peer, which reads no more messages.
    fn handle_closing(&self) {
        self.release_messages();
        if self.is_open() {
            self.0.ready_state.set(ReadyState::Closing);
            self.0.outgoing.cut_off();
        }
    }

    /// "When the WebSocket connection is closed"
    fn handle_closed(&self, closure: &Closed, context: &mut Context) -> JsResult<()> {
        self.stop_observing();
        self.0.ready_state.set(ReadyState::Closed);
        let connection = self.0.connection.borrow_mut().take();
        let flushed = connection.map_or(0, |connection| connection.flushed_bytes());
        let reason = from_utf8(&closure.reason);
        if !self.0.was_connected.get() {
            let message = "the WebSocket connection could not be established";
            let error = websocket_error(message, closure.code, reason, context)?;
            self.0.opened.reject(error.clone(), context)?;
            return self.0.closed.reject(error, context);
        }
        // The writable stream fails before `closed` is settled, in the same task: a script that waits for the latter can
        // still handle the rejection of a write.
        if closure.clean && self.0.outgoing.is_all_sent(flushed) {
            self.0.incoming.end(self, End::Closed, context)?;
            let error = closed_error(context)?;
            self.0.outgoing.end(&error, context)?;
            let info = dictionary(
                [
                    ("closeCode", closure.code.into()),
                    ("reason", reason.into()),
                ],
                context,
            )?;
            return self.0.closed.resolve(info, context);
        }
        let message = "the WebSocket connection was not closed cleanly";
        let error = websocket_error(message, closure.code, reason, context)?;
        self.0
            .incoming
            .end(self, End::Failed(error.clone()), context)?;
        let of_write = if self.0.outgoing.is_cut_off() {
            closed_error(context)?
        } else {
            error.clone()
        };
        self.0.outgoing.fail(&of_write, context)?;
        self.0.closed.reject(error, context)
    }
}

/// What writing to a stream fails with whose connection is closing or closed.
pub(super) fn closed_error(context: &mut Context) -> JsResult<JsValue> {
    let message = "the WebSocket connection is closed, nothing can be written to it";
    Ok(DomException::object(ErrorName::InvalidState, message, context)?.into())
}

fn websocket_error(
    message: &str,
    code: u16,
    reason: JsString,
    context: &mut Context,
) -> JsResult<JsValue> {
    let error = WebSocketError::new(Some(code), reason);
    Ok(error.object(js_string!(message), context)?.into())
}

/// A dictionary as a script sees it: <https://webidl.spec.whatwg.org/#dictionary-to-js>
fn dictionary<const N: usize>(
    members: [(&'static str, JsValue); N],
    context: &mut Context,
) -> JsResult<JsValue> {
    let object = JsObject::with_object_proto(context.intrinsics());
    for (name, value) in members {
        object.create_data_property_or_throw(js_string!(name), value, context)?;
    }
    Ok(object.into())
}
