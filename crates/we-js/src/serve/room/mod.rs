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

use boa_engine::{Context, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Trace};
use we_net::protocol::{CloseFrame, Message};

pub use self::wire::{RoomCommand, RoomEvent, RoomRecipient};
pub(super) use self::{client::RoomClient, context::RoomContext};
use super::{builtin::functions, session::call};
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
#[derive(Clone)]
pub(super) struct Room {
    handlers: RoomHandlers,
    context: This<RoomContext>,
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
        })
    }

    /// Nobody is there yet.
    pub(super) fn begin(&self, context: &mut Context) -> JsResult<()> {
        self.call(self.handlers.init.as_ref(), &[], context)
    }

    /// What the server tells of its clients.
    pub(super) fn received(&self, message: Message, context: &mut Context) -> JsResult<()> {
        let ctx = self.context.state();
        LoopState::of(context)?.account_external(message.len());
        match RoomEvent::decode(message) {
            Some(RoomEvent::Connect(id, info)) => {
                let client = RoomClient::object(id, &info, ctx.link(), context)?;
                let object = client.object().clone();
                ctx.enter(id, object.clone(), context)?;
                self.call(self.handlers.connect.as_ref(), &[object.into()], context)
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
                self.call(self.handlers.message.as_ref(), &arguments, context)
            }
            Some(RoomEvent::Disconnect(id)) => {
                let Some(client) = ctx.leave(id) else {
                    return Ok(());
                };
                let handler = self.handlers.disconnect.as_ref();
                self.call(handler, &[client.into()], context)
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

    /// The room has ended.
    pub(super) fn closed(&self, context: &mut Context) -> JsResult<()> {
        self.context.state().closed(context)
    }

    fn call(
        &self,
        handler: Option<&JsObject>,
        arguments: &[JsValue],
        context: &mut Context,
    ) -> JsResult<()> {
        let mut arguments = arguments.to_vec();
        arguments.push(self.context.object().clone().into());
        call(&self.handlers.this, handler, &arguments, context)?;
        Ok(())
    }
}
