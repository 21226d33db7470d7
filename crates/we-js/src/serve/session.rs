//! [`Session`]: what happens to a connection, told to its application.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use boa_engine::{
    Context, JsArgs, JsError, JsResult, JsValue, NativeFunction,
    object::{JsObject, builtins::JsPromise},
};
use we_net::protocol::{CloseCode, CloseFrame, CloseReason, Message};

use super::{
    ConnectionInfo,
    app::{App, finish},
    application::{OnStage, Stage},
    builtin::Handlers,
    exchange::Exchange,
    room::Room,
    socket::ServerWebSocket,
};
use crate::{
    binding::{This, from_utf8},
    event_loop::LoopState,
    network::{Closed, SocketEvent, SocketHandle},
    websocket::{BinaryType, binary},
};

/// A connection and what an application does with it. It is kept by the loop's registry of sockets until the connection is
/// closed.
#[derive(Clone)]
pub(crate) struct Session(Rc<Parts>);

struct Parts {
    app: App,
    on_stage: OnStage,
    purpose: RefCell<Purpose>,
    has_failed: Cell<bool>,
}

/// What the connection is for.
enum Purpose {
    /// The server has not told yet.
    Unknown(SocketHandle),
    Socket(Handlers, This<ServerWebSocket>),
    Room(Room),
    Exchange(Exchange),
    /// Nothing any more.
    None,
}

impl Session {
    pub(super) fn new(app: App, link: SocketHandle, on_stage: OnStage) -> Self {
        Self(Rc::new(Parts {
            app,
            on_stage,
            purpose: RefCell::new(Purpose::Unknown(link)),
            has_failed: Cell::new(false),
        }))
    }

    /// The application has left an error uncaught: nobody knows what state it is in, so the connection ends with 1011, and no
    /// further message is told. The client learns no more than that.
    pub(super) fn fail(&self) {
        if self.0.has_failed.replace(true) {
            return;
        }
        let frame = Some(CloseFrame {
            code: CloseCode::INTERNAL_ERROR,
            reason: CloseReason::truncated("the handler failed"),
        });
        match &*self.0.purpose.borrow() {
            Purpose::Unknown(link) => link.close(frame),
            Purpose::Socket(_, socket) => socket.state().close(frame),
            Purpose::Room(room) => room.close(frame),
            Purpose::Exchange(exchange) => exchange.close(frame),
            Purpose::None => {}
        }
    }

    pub(crate) fn deliver(&self, event: SocketEvent, context: &mut Context) -> JsResult<()> {
        match event {
            // That is the link; of the connection the first message tells.
            SocketEvent::Open { .. } => {
                if let Purpose::Unknown(link) = &*self.0.purpose.borrow() {
                    link.send(Message::text(self.0.app.manifest.clone()));
                }
                Ok(())
            }
            SocketEvent::Flushed => {
                if let Purpose::Exchange(exchange) = &*self.0.purpose.borrow() {
                    exchange.flushed();
                }
                Ok(())
            }
            SocketEvent::Message(message) => self.received(message, context),
            SocketEvent::Closing => {
                if let Some((_, socket)) = self.socket() {
                    socket.state().closing_started();
                }
                Ok(())
            }
            SocketEvent::Closed(closed) => self.closed(&closed, context),
        }
    }

    fn socket(&self) -> Option<(Handlers, This<ServerWebSocket>)> {
        match &*self.0.purpose.borrow() {
            Purpose::Socket(handlers, socket) => Some((handlers.clone(), socket.clone())),
            _ => None,
        }
    }

    fn room(&self) -> Option<Room> {
        match &*self.0.purpose.borrow() {
            Purpose::Room(room) => Some(room.clone()),
            _ => None,
        }
    }

    fn received(&self, message: Message, context: &mut Context) -> JsResult<()> {
        if self.0.has_failed.get() {
            return Ok(());
        }
        if let Some(room) = self.room() {
            return room.received(message, context);
        }
        let Some((handlers, socket)) = self.socket() else {
            return self.opened(&message, context);
        };
        if !socket.state().is_open() {
            return Ok(());
        }
        LoopState::of(context)?.account_external(message.len());
        let data: JsValue = match message {
            Message::Text(text) => from_utf8(&text).into(),
            Message::Binary(payload) => binary(payload, BinaryType::ArrayBuffer, context)?,
        };
        let arguments = [socket.object().clone().into(), data];
        call(
            &handlers.this,
            handlers.message.as_ref(),
            &arguments,
            context,
        )?;
        Ok(())
    }

    /// The server has told of the connection.
    fn opened(&self, message: &Message, context: &mut Context) -> JsResult<()> {
        let Some(info) = ConnectionInfo::decode(message.as_bytes()) else {
            tracing::error!(target: "we::js", "what the server says of the connection cannot be understood");
            self.fail();
            return Ok(());
        };
        let link = match self.0.purpose.replace(Purpose::None) {
            Purpose::Unknown(link) => link,
            // Of a request nothing comes but what was told at first.
            purpose => {
                self.0.purpose.replace(purpose);
                return Ok(());
            }
        };
        let sent = self.0.app.manifest.len() as u64;
        if !info.method.is_empty() {
            let exchange = Exchange::new(link, sent);
            let purpose = Purpose::Exchange(exchange.clone());
            self.0.purpose.replace(purpose);
            return exchange.begin(&info, &self.0.app, context);
        }
        if !info.room.is_empty() {
            let handlers = self.0.app.room(&info.route, context)?;
            // Before its first function is called, which may fail.
            let room = Room::new(&info.room, handlers, link, sent, context)?;
            self.0.purpose.replace(Purpose::Room(room.clone()));
            return room.begin(context);
        }
        let socket = ServerWebSocket::object(&info, link, sent, context)?;
        let handlers = self.0.app.websocket(&info.route, context)?;
        let purpose = Purpose::Socket(handlers.clone(), socket.clone());
        self.0.purpose.replace(purpose);
        let arguments = [socket.object().clone().into()];
        call(&handlers.this, handlers.open.as_ref(), &arguments, context)?;
        Ok(())
    }

    /// The connection is over, and with it the application: when `close` has done what it has to do, the loop ends.
    fn closed(&self, closed: &Closed, context: &mut Context) -> JsResult<()> {
        self.0.on_stage.tell(Stage::Ended);
        let (handlers, socket) = match self.0.purpose.replace(Purpose::None) {
            Purpose::Socket(handlers, socket) => (handlers, socket),
            Purpose::Exchange(exchange) => return exchange.closed(context),
            Purpose::Room(room) => return room.closed(context),
            Purpose::Unknown(_) | Purpose::None => return finish(context),
        };
        socket.state().closed();
        let arguments = [
            socket.object().clone().into(),
            closed.code.into(),
            from_utf8(&closed.reason).into(),
        ];
        let result = call(&handlers.this, handlers.close.as_ref(), &arguments, context)?;
        // What an asynchronous function still has to write is waited for.
        let promise = result
            .and_then(|value| value.as_object())
            .and_then(|object| JsPromise::from_object(object).ok());
        let Some(promise) = promise else {
            return finish(context);
        };
        let fulfilled = NativeFunction::from_fn_ptr(|_, _, context| {
            finish(context)?;
            Ok(JsValue::undefined())
        });
        // The loop ends before it would tell of a rejection that nobody handles.
        let rejected = NativeFunction::from_fn_ptr(|_, args, context| {
            let error = JsError::from_opaque(args.get_or_undefined(0).clone());
            LoopState::of(context)?.report_exception(error, context);
            finish(context)?;
            Ok(JsValue::undefined())
        });
        let fulfilled = fulfilled.to_js_function(context.realm());
        let rejected = rejected.to_js_function(context.realm());
        promise.then(Some(fulfilled), Some(rejected), context)?;
        Ok(())
    }
}

/// Calls a handler on what it came with, if there is one. An error that it throws is reported; then there is no result.
pub(super) fn call(
    this: &JsObject,
    handler: Option<&JsObject>,
    arguments: &[JsValue],
    context: &mut Context,
) -> JsResult<Option<JsValue>> {
    let Some(handler) = handler else {
        return Ok(None);
    };
    let state = LoopState::of(context)?;
    let this = this.clone().into();
    Ok(state.run_callback(context, |context| {
        match state.call(handler, &this, arguments, context) {
            Ok(value) => Some(value),
            Err(error) => {
                state.report_exception(error, context);
                None
            }
        }
    }))
}
