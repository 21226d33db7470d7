//! [`Service`]: what a room does, and what its functions are given.

use std::fmt;
use std::time::Duration;

use we_net::Message;
use we_net::protocol::CloseFrame;

use crate::client::Client;
use crate::name::RoomName;
use crate::room::{Room, RoomSender};
use crate::runner::Timer;

/// Names a client within its room. No other client of a room ever has the same, as long as the room lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// One client. If it has gone, the message is for nobody.
    Client(ClientId),
    /// All clients that have connected.
    Everyone,
    /// All but one.
    EveryoneExcept(ClientId),
}

impl From<ClientId> for Recipient {
    fn from(client: ClientId) -> Self {
        Self::Client(client)
    }
}

/// What a room does. Each room has a service of its own, which is made with the room and dropped with it.
///
/// The functions are called one after the other, in the order in which things happen: of each client first `connect`, then each
/// `message`, then `disconnect`. They must not block, nor compute for long: what else is served by the same thread waits meanwhile.
///
/// Messages of 1 MiB in all, each with 64 bytes more than its payload, may wait for it; then its clients are not read from.
///
/// A service that panics has [failed](crate::OnFailure).
pub trait Service: Send + 'static {
    /// The room begins. Nobody is there yet.
    fn init(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
    }

    /// A client has come.
    fn connect(&mut self, client: &Client, ctx: &mut Context<'_>) {
        let _ = (client, ctx);
    }

    /// A client has sent a message.
    fn message(&mut self, client: ClientId, data: Message, ctx: &mut Context<'_>);

    /// A client has gone. What is sent to it is for nobody.
    fn disconnect(&mut self, client: ClientId, ctx: &mut Context<'_>) {
        let _ = (client, ctx);
    }

    /// The time that [`Context::set_timer`] was given is over.
    fn timer(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
    }
}

/// What a [`Service`] can do to its room.
#[derive(Debug)]
pub struct Context<'a> {
    room: &'a Room,
    timer: &'a mut Timer,
}

impl<'a> Context<'a> {
    pub(crate) fn new(room: &'a Room, timer: &'a mut Timer) -> Self {
        Self { room, timer }
    }

    /// The room's name.
    pub fn name(&self) -> &RoomName {
        self.room.name()
    }

    /// What can be done to the room's clients at any time, from anywhere: for what a service begins and does not wait for.
    pub fn sender(&self) -> RoomSender {
        self.room.sender()
    }

    /// Sends a message. It never waits: what a client does not take fast enough is subject to
    /// [`SlowClients`](crate::SlowClients).
    pub fn send(&mut self, recipient: impl Into<Recipient>, data: impl Into<Message>) {
        self.room.send(recipient.into(), data.into());
    }

    /// Ends the connection of a client, behind what was sent to it. `None` sends no code.
    pub fn close(&mut self, client: ClientId, frame: impl Into<Option<CloseFrame>>) {
        self.room.close(client, frame.into());
    }

    /// Has [`Service::timer`] called after this time, once. There is one timer: setting it again changes when.
    pub fn set_timer(&mut self, after: Duration) {
        self.timer.set(after);
    }

    /// [`Service::timer`] is not called.
    pub fn clear_timer(&mut self) {
        self.timer.clear();
    }
}
