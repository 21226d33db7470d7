//! [`Place`]: a room's place in the cluster, as this node sees it: who owns it, and what came of it from others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use we_net::Message;
use we_net::protocol::CloseFrame;

use super::follow::Following;
use super::keeper;
use super::lease::{Session, Term};
use super::node::Node;
use super::owner::Owned;
use super::record::{NodeId, What};
use crate::client::Client;
use crate::elsewhere::Elsewhere;
use crate::name::RoomName;
use crate::room::RoomSender;
use crate::service::{ClientId, Recipient};
use crate::shared::Shared;

/// What this node is to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// That is being found out. Clients wait.
    Undecided,
    /// The service runs here: the room is owned, or nobody else can be reached.
    Serve,
    /// The service runs at the owner of this term, in a session with the broker of this number.
    Follow(Term, u64),
    /// The room has ended.
    Over,
}

pub(crate) struct Place {
    pub(crate) node: Arc<Node>,
    pub(crate) room: RoomSender,
    /// Where the owner speaks to all followers.
    pub(crate) channel: Arc<str>,
    key: Arc<str>,
    role: watch::Sender<Role>,
    pub(crate) owned: Owned,
    pub(crate) following: Following,
    /// The lease is to be looked at.
    pub(crate) look: Notify,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// Has a place end with its room.
pub(crate) struct Held(pub(crate) Arc<Place>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

impl Place {
    /// Takes the place of a room, unless that has ended. Whatever this node is to the room is decided by a task of its own.
    pub(crate) fn take(node: &Arc<Node>, room: RoomSender) -> Option<Held> {
        let name = room.name().clone();
        let escaped = utf8_percent_encode(name.as_str(), NON_ALPHANUMERIC);
        let escaped = escaped.to_string();
        let options = &node.link.options;
        let channel: Arc<str> = options.name("room", &escaped).into();
        let place = Arc::new(Self {
            node: node.clone(),
            owned: Owned::new(node.clone(), name.clone(), channel.clone()),
            following: Following::new(name.clone()),
            key: options.name("lease", &escaped).into(),
            channel,
            role: watch::Sender::new(Role::Undecided),
            look: Notify::new(),
            keeper: Mutex::default(),
            room,
        });
        node.enter(place.clone());
        let keeper = tokio::spawn(keeper::keep(place.clone()));
        *place.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        let held = Held(place.clone());
        let shared = place.shared().clone();
        shared.open_to(place).then_some(held)
    }

    pub(crate) fn name(&self) -> &RoomName {
        self.room.name()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.room.0
    }

    pub(crate) fn role(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    /// Sets the role, unless the room has ended.
    pub(crate) fn turn(&self, role: Role) {
        self.role.send_if_modified(|now| {
            let is_new = *now != Role::Over && *now != role;
            if is_new {
                *now = role;
            }
            is_new
        });
    }

    pub(crate) fn serves(&self) -> bool {
        *self.role.borrow() == Role::Serve
    }

    pub(crate) fn look_again(&self) {
        self.look.notify_one();
    }

    /// Another node has said something about the room.
    pub(crate) fn receive(&self, from: NodeId, epoch: u64, what: What) {
        match what {
            What::Join { .. }
            | What::Leave { .. }
            | What::Connect { .. }
            | What::Message { .. }
            | What::Disconnect { .. } => self.owned.receive(self.shared(), from, epoch, what),
            _ => {
                let link = &self.node.link;
                if self.following.receive(link, &self.room, from, epoch, what) {
                    self.look_again();
                }
            }
        }
    }

    /// Whose the room is; it is taken if it is nobody's, and somebody is in it.
    pub(crate) async fn ask(&self, session: &Session) -> Result<Option<Term>, String> {
        let (node, lease) = (self.node.link.node, self.lease());
        if self.shared().is_empty() {
            // What is left of its own lease runs out.
            let term = session.peek(&self.key).await?;
            return Ok(term.filter(|term| term.owner != node));
        }
        session.acquire(&self.key, node, lease).await.map(Some)
    }

    pub(crate) async fn renew(&self, session: &Session, term: Term) -> Result<bool, String> {
        session.renew(&self.key, term, self.lease()).await
    }

    pub(crate) fn lease(&self) -> Duration {
        self.node.link.options.lease
    }

    /// What the owner says to all followers is not heard any more.
    pub(crate) fn unsubscribe(&self) {
        let (node, name) = (self.node.clone(), self.name().clone());
        let is_over = move || {
            let place = node.place(&name);
            !place.is_some_and(|place| matches!(*place.role.borrow(), Role::Follow(..)))
        };
        self.node.link.unsubscribe(self.channel.clone(), is_over);
    }

    /// This node goes: others may have the room.
    pub(crate) fn let_go(&self) {
        if let Some(keeper) = self.keeper() {
            keeper.abort();
        }
        self.following.stop(&self.node.link);
        let epoch = self.owned.say_over();
        self.owned.end(self.shared());
        self.release(epoch);
        self.turn(Role::Serve);
    }

    fn release(&self, epoch: Option<u64>) {
        if let Some(epoch) = epoch {
            let owner = self.node.link.node;
            let value = Term { epoch, owner }.value();
            self.node.link.release(self.key.clone(), value);
        }
    }

    fn keeper(&self) -> Option<JoinHandle<()>> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        keeper.take()
    }
}

impl Elsewhere for Place {
    fn admit(&self, client: ClientId) {
        self.owned.admit(client);
    }

    fn send(&self, recipient: Recipient, message: &Message) {
        self.owned.send(recipient, message);
    }

    fn close(&self, client: ClientId, frame: Option<&CloseFrame>) {
        self.owned.close(client, frame);
    }

    fn begin_again(&self) -> Vec<Client> {
        self.owned.begin_again()
    }

    fn end(&self, frame: Option<&Option<CloseFrame>>) {
        if self.role.send_replace(Role::Over) == Role::Over {
            return;
        }
        if let Some(keeper) = self.keeper() {
            keeper.abort();
        }
        self.node.forget(self);
        if let Some(frame) = frame {
            self.owned.close_all(frame);
        }
        let epoch = self.owned.say_over();
        self.release(epoch);
        if epoch.is_none() {
            self.following.stop(&self.node.link);
            self.unsubscribe();
        }
    }
}
