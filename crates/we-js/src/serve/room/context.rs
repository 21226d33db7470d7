//! `RoomContext`: what the functions of `room()` are given to act with.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use boa_engine::{
    Context, JsArgs, JsData, JsError, JsNativeError, JsResult, JsString, JsValue,
    object::{JsObject, builtins::JsArray},
};
use boa_gc::{Finalize, GcRefCell, Trace};
use we_net::protocol::CloseFrame;

use super::client::RoomClient;
use super::wire::{RoomCommand, RoomRecipient};
use super::{MAX_MESSAGE, RoomHandlers};
use crate::{
    binding::{Definition, Interface, PlatformObject, This, create, from_utf8},
    event_loop::{LoopState, TimerKey},
    network::SocketHandle,
    serve::session::call,
    websocket::{BufferedAmount, Data},
};

/// The state of a `RoomContext`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct RoomContext {
    name: JsString,
    handlers: RoomHandlers,
    clients: GcRefCell<BTreeMap<u64, JsObject>>,
    #[unsafe_ignore_trace]
    timer: Cell<Option<TimerKey>>,
    /// The link to the server; gone once the room has ended.
    #[unsafe_ignore_trace]
    link: RefCell<Option<Rc<Link>>>,
}

/// Whom a message is for, as a value of scripts: `ctx.everyone`, `ctx.everyoneExcept(client)`.
#[derive(Trace, Finalize, JsData)]
struct Recipient(#[unsafe_ignore_trace] RoomRecipient);

impl RoomContext {
    /// The object of a room, on a link by which `sent` bytes have gone already.
    pub(super) fn object(
        name: &str,
        handlers: RoomHandlers,
        link: SocketHandle,
        sent: u64,
        context: &mut Context,
    ) -> JsResult<This<Self>> {
        let link = Link::new(link, sent, LoopState::of(context)?.turn());
        let room = Self {
            name: from_utf8(name),
            handlers,
            clients: GcRefCell::default(),
            timer: Cell::new(None),
            link: RefCell::new(Some(Rc::new(link))),
        };
        create::<Self>(room, context)
    }

    pub(super) fn link(&self) -> Option<Rc<Link>> {
        self.link.borrow().clone()
    }

    /// A client has come, and is about to be told of.
    pub(super) fn enter(&self, id: u64, client: JsObject, context: &Context) -> JsResult<()> {
        self.clients.borrow_mut().insert(id, client);
        match self.link() {
            Some(link) => link.tell(&RoomCommand::Admit(id), context),
            None => Ok(()),
        }
    }

    pub(super) fn client(&self, id: u64) -> Option<JsObject> {
        self.clients.borrow().get(&id).cloned()
    }

    pub(super) fn leave(&self, id: u64) -> Option<JsObject> {
        let client = self.clients.borrow_mut().remove(&id)?;
        if let Some(client) = This::<RoomClient>::from_object(client.clone()) {
            client.state().gone();
        }
        Some(client)
    }

    /// Ends this part of the room.
    pub(super) fn close(&self, frame: Option<CloseFrame>) {
        if let Some(link) = self.link.take() {
            link.socket.close(frame);
        }
    }

    /// The room has ended.
    pub(super) fn closed(&self, context: &mut Context) -> JsResult<()> {
        self.link.take();
        if let Some(timer) = self.timer.take() {
            LoopState::of(context)?.cancel(timer);
        }
        Ok(())
    }
}

/// The link to the server, for the context and its clients.
pub(super) struct Link {
    socket: SocketHandle,
    buffered_amount: BufferedAmount,
}

impl Link {
    /// A link by which `sent` bytes have gone already.
    fn new(socket: SocketHandle, sent: u64, turn: u64) -> Self {
        let buffered_amount = BufferedAmount::default();
        buffered_amount.add(turn, Some(socket.flushed_bytes()), sent);
        Self {
            socket,
            buffered_amount,
        }
    }

    pub(super) fn tell(&self, command: &RoomCommand, context: &Context) -> JsResult<()> {
        let command = command.encode();
        let state = LoopState::of(context)?;
        let flushed = Some(self.socket.flushed_bytes());
        self.buffered_amount
            .add(state.turn(), flushed, command.len() as u64);
        self.socket.send(command.into());
        Ok(())
    }

    fn buffered_amount(&self, turn: u64) -> u64 {
        let flushed = Some(self.socket.flushed_bytes());
        self.buffered_amount.get(turn, flushed)
    }
}

impl PlatformObject for RoomContext {}

impl Interface for RoomContext {
    const NAME: &'static str = "RoomContext";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.readonly("name", |this, _| Ok(this.state().name.clone()));
        idl.readonly("clients", |this, context| {
            let clients: Vec<_> = this.state().clients.borrow().values().cloned().collect();
            let clients = clients.into_iter().map(JsValue::from);
            Ok(JsObject::from(JsArray::from_iter(clients, context)))
        });
        idl.readonly("bufferedAmount", |this, context| {
            let turn = LoopState::of(context)?.turn();
            let link = this.state().link();
            Ok(link.map_or(0, |link| link.buffered_amount(turn)) as f64)
        });
        idl.readonly("everyone", |_, context| {
            Ok(recipient(RoomRecipient::Everyone, context))
        });
        idl.operation("everyoneExcept", 1, |_, args, context| {
            let client = client(args.get_or_undefined(0), "everyoneExcept")?;
            let except = RoomRecipient::EveryoneExcept(client);
            Ok(JsValue::from(recipient(except, context)))
        });
        idl.operation("send", 2, |this, args, context| {
            let recipient = recipient_of(args.get_or_undefined(0))?;
            let link = this.state().link();
            send(
                link.as_deref(),
                recipient,
                args.get_or_undefined(1),
                context,
            )
        });
        idl.operation("setTimer", 1, set_timer);
        idl.operation("clearTimer", 0, |this, _, context| {
            if let Some(timer) = this.state().timer.take() {
                LoopState::of(context)?.cancel(timer);
            }
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}

fn recipient(recipient: RoomRecipient, context: &mut Context) -> JsObject {
    let prototype = context.intrinsics().constructors().object().prototype();
    JsObject::from_proto_and_data(prototype, Recipient(recipient))
}

fn client(value: &JsValue, member: &str) -> JsResult<u64> {
    match This::<RoomClient>::from_value(value) {
        Some(client) => Ok(client.state().id()),
        None => Err(JsNativeError::typ()
            .with_message(format!(
                "RoomContext.{member}: give it a client of the room"
            ))
            .into()),
    }
}

fn recipient_of(value: &JsValue) -> JsResult<RoomRecipient> {
    if let Some(client) = This::<RoomClient>::from_value(value) {
        return Ok(RoomRecipient::Client(client.state().id()));
    }
    let object = value.as_object();
    let recipient = object.and_then(|object| object.downcast_ref::<Recipient>().map(|r| r.0));
    recipient.ok_or_else(|| {
        JsNativeError::typ()
            .with_message(
                "RoomContext.send: the recipient is a client, ctx.everyone or ctx.everyoneExcept(client)",
            )
            .into()
    })
}

/// `send((RoomClient or Recipient) recipient, (BufferSource or Blob or USVString) data)`
pub(super) fn send(
    link: Option<&Link>,
    recipient: RoomRecipient,
    data: &JsValue,
    context: &mut Context,
) -> JsResult<JsValue> {
    let data = Data::from_value(data, context)?;
    if data.len() > MAX_MESSAGE {
        return Err(JsError::from(JsNativeError::range().with_message(format!(
            "send: {} bytes are too much for a message in a room; at most {MAX_MESSAGE} are not",
            data.len()
        ))));
    }
    if let Some(link) = link {
        // The engine does not count what buffers hold, and what was sent is mostly garbage.
        LoopState::of(context)?.account_external(data.len() as usize);
        let command = RoomCommand::Send(recipient, data.into_message()?);
        link.tell(&command, context)?;
    }
    Ok(JsValue::undefined())
}

/// `setTimer(unrestricted double ms)`: has `timer(ctx)` called once, after so many milliseconds from now.
fn set_timer(
    this: &This<RoomContext>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    let ms = args.get_or_undefined(0).to_number(context)?;
    let after = Duration::try_from_secs_f64(ms / 1000.0).map_err(|_| {
        JsNativeError::range()
            .with_message("RoomContext.setTimer: give it a number of milliseconds, from 0")
    })?;
    let state = LoopState::of(context)?;
    if let Some(timer) = this.state().timer.take() {
        state.cancel(timer);
    }
    let room = this.clone();
    let timer = state.run_after(after, move |context| {
        let ctx = room.state();
        ctx.timer.take();
        let arguments = [room.object().clone().into()];
        let (this, handler) = (&ctx.handlers.this, ctx.handlers.timer.as_ref());
        if let Err(error) = call(this, handler, &arguments, context)
            && let Ok(state) = LoopState::of(context)
        {
            state.report_exception(error, context);
        }
    });
    this.state().timer.set(Some(timer));
    Ok(JsValue::undefined())
}
