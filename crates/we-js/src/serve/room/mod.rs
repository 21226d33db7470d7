//! A room in JavaScript: an instance of the application for all of its clients.
//!
//! | module | what it holds |
//! |---|---|
//! | [`wire`] | what server and instance say to each other of a room |
//! | [`context`] | the interface `RoomContext`: what a service can do |
//! | [`client`] | the interface `RoomClient` |

mod client;
mod context;
mod wire;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use boa_engine::{
    Context, JsArgs, JsError, JsResult, JsValue, NativeFunction,
    object::{JsObject, builtins::JsPromise},
};
use boa_gc::{Finalize, Trace};
use we_net::protocol::{CloseFrame, Message};

pub use self::wire::{RoomCommand, RoomEvent, RoomRecipient};
pub(super) use self::{client::RoomClient, context::RoomContext};
use super::{app::finish, builtin::functions, session::call};
use crate::{
    binding::{This, from_utf8},
    event_loop::LoopState,
    network::SocketHandle,
    websocket::{BinaryType, binary},
};

/// The longest message that goes to a client: what the server takes of an instance, with room for whom it is for.
const MAX_MESSAGE: u64 = (16 << 20) - 64;

/// What an application does with a room: the functions given to `room()`.
#[derive(Clone, Trace, Finalize, boa_engine::JsData)]
pub(super) struct RoomHandlers {
    /// What they are called on.
    this: JsObject,
    init: Option<JsObject>,
    connect: Option<JsObject>,
    message: Option<JsObject>,
    disconnect: Option<JsObject>,
    timer: Option<JsObject>,
}

impl RoomHandlers {
    /// The handlers that a value is, if it is what `room()` returned.
    pub(super) fn of(value: &JsValue) -> Option<Self> {
        value
            .as_object()?
            .downcast_ref::<Self>()
            .as_deref()
            .cloned()
    }

    pub(super) fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let names = ["init", "connect", "message", "disconnect", "timer"];
        let (this, functions) = functions("room", value, names, context)?;
        let [init, connect, message, disconnect, timer] = functions;
        Ok(Self {
            this,
            init,
            connect,
            message,
            disconnect,
            timer,
        })
    }
}

/// A room whose service runs here.
#[derive(Clone, Trace, Finalize)]
pub(super) struct Room {
    handlers: RoomHandlers,
    /// Kept alive by whoever has this, which lives as long as the room.
    #[unsafe_ignore_trace]
    context: This<RoomContext>,
    #[unsafe_ignore_trace]
    progress: Rc<Progress>,
}

/// What a room waits for.
#[derive(Default)]
struct Progress {
    /// What the server has told while `init` is not done.
    early: RefCell<Option<Vec<Message>>>,
    /// How many promises of `init` and `disconnect` are pending.
    pending: Cell<usize>,
    is_over: Cell<bool>,
}

impl Room {
    /// A room, on the link to the server, by which `sent` bytes have gone already.
    pub(super) fn new(
        name: &str,
        handlers: RoomHandlers,
        link: SocketHandle,
        sent: u64,
        context: &mut Context,
    ) -> JsResult<Self> {
        let ctx = RoomContext::object(name, handlers.clone(), link, sent, context)?;
        Ok(Self {
            handlers,
            context: ctx,
            progress: Rc::default(),
        })
    }

    /// Nobody is there yet. If `init` is asynchronous nobody is until it is done.
    pub(super) fn begin(&self, context: &mut Context) -> JsResult<()> {
        self.progress.early.replace(Some(Vec::new()));
        let result = self.call(self.handlers.init.as_ref(), &[], context)?;
        self.when_done(result, Self::begun, context)
    }

    fn begun(&self, context: &mut Context) -> JsResult<()> {
        for message in self.progress.early.take().unwrap_or_default() {
            self.told(message, context)?;
        }
        Ok(())
    }

    /// What the server tells of its clients.
    pub(super) fn received(&self, message: Message, context: &mut Context) -> JsResult<()> {
        if let Some(early) = &mut *self.progress.early.borrow_mut() {
            early.push(message);
            return Ok(());
        }
        self.told(message, context)
    }

    fn told(&self, message: Message, context: &mut Context) -> JsResult<()> {
        let ctx = self.context.state();
        LoopState::of(context)?.account_external(message.len());
        match RoomEvent::decode(message) {
            Some(RoomEvent::Connect(id, info)) => {
                let client = RoomClient::object(id, &info, ctx.link(), context)?;
                let object = client.object().clone();
                ctx.enter(id, object.clone(), context)?;
                self.call(self.handlers.connect.as_ref(), &[object.into()], context)?;
                Ok(())
            }
            Some(RoomEvent::Message(id, message)) => {
                let Some(client) = ctx.client(id) else {
                    return Ok(());
                };
                let data: JsValue = match message {
                    Message::Text(text) => from_utf8(&text).into(),
                    Message::Binary(payload) => binary(payload, BinaryType::ArrayBuffer, context)?,
                };
                let arguments = [client.into(), data];
                self.call(self.handlers.message.as_ref(), &arguments, context)?;
                Ok(())
            }
            Some(RoomEvent::Disconnect(id)) => {
                let Some(client) = ctx.leave(id) else {
                    return Ok(());
                };
                let handler = self.handlers.disconnect.as_ref();
                let result = self.call(handler, &[client.into()], context)?;
                self.when_done(result, |_, _| Ok(()), context)
            }
            None => {
                tracing::error!(target: "we::js", "what the server says of the room cannot be understood");
                Ok(())
            }
        }
    }

    /// Ends its part of the room: nothing more goes out.
    pub(super) fn close(&self, frame: Option<CloseFrame>) {
        self.context.state().close(frame);
    }

    /// The room has ended. What `disconnect` still has to do is waited for.
    pub(super) fn closed(&self, context: &mut Context) -> JsResult<()> {
        self.progress.is_over.set(true);
        self.context.state().closed(context)?;
        self.finish_if_done(context)
    }

    fn finish_if_done(&self, context: &Context) -> JsResult<()> {
        if self.progress.is_over.get() && self.progress.pending.get() == 0 {
            finish(context)?;
        }
        Ok(())
    }

    /// Does something when a function is done: at once, unless it has returned a promise. If that is rejected, which is reported, it is not
    /// done.
    fn when_done(
        &self,
        result: Option<JsValue>,
        then: fn(&Self, &mut Context) -> JsResult<()>,
        context: &mut Context,
    ) -> JsResult<()> {
        let promise = result
            .and_then(|value| value.as_object())
            .and_then(|object| JsPromise::from_object(object).ok());
        let Some(promise) = promise else {
            return then(self, context);
        };
        let pending = &self.progress.pending;
        pending.set(pending.get() + 1);
        let fulfilled = NativeFunction::from_copy_closure_with_captures(
            move |_, _, room: &Self, context| {
                then(room, context)?;
                room.settled(context)?;
                Ok(JsValue::undefined())
            },
            self.clone(),
        );
        // The loop may end before it would tell of a rejection that nobody handles.
        let rejected = NativeFunction::from_copy_closure_with_captures(
            |_, args, room: &Self, context| {
                let error = JsError::from_opaque(args.get_or_undefined(0).clone());
                LoopState::of(context)?.report_exception(error, context);
                room.settled(context)?;
                Ok(JsValue::undefined())
            },
            self.clone(),
        );
        let fulfilled = fulfilled.to_js_function(context.realm());
        let rejected = rejected.to_js_function(context.realm());
        promise.then(Some(fulfilled), Some(rejected), context)?;
        Ok(())
    }

    fn settled(&self, context: &Context) -> JsResult<()> {
        let pending = &self.progress.pending;
        pending.set(pending.get().saturating_sub(1));
        self.finish_if_done(context)
    }

    fn call(
        &self,
        handler: Option<&JsObject>,
        arguments: &[JsValue],
        context: &mut Context,
    ) -> JsResult<Option<JsValue>> {
        let mut arguments = arguments.to_vec();
        arguments.push(self.context.object().clone().into());
        call(&self.handlers.this, handler, &arguments, context)
    }
}
