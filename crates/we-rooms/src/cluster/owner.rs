//! [`Owned`]: the clients of a room that are connected to other nodes, where its service runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use we_net::Message;
use we_net::protocol::CloseFrame;

use super::node::Node;
use super::record::{NodeId, Record, Stamp, What};
use super::takings::{Receipt, Takings};
use crate::client::Client;
use crate::elsewhere::{Door, Lost, Permit};
use crate::name::RoomName;
use crate::service::{ClientId, Recipient};
use crate::shared::Shared;

/// What an owner knows of its followers. Locked behind the room, never before it.
pub(crate) struct Owned {
    node: Arc<Node>,
    room: RoomName,
    /// Where all followers listen.
    channel: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// None: this node does not own the room, and there are no followers.
    term: Option<Current>,
    followers: HashMap<NodeId, Follower>,
    clients: HashMap<ClientId, (NodeId, u64)>,
}

struct Current {
    epoch: u64,
    /// By this clock others may have the lease then.
    until: Instant,
    /// The last record that was for all.
    seq: u64,
    /// Something could not be sent.
    has_lost: bool,
}

struct Follower {
    generation: u64,
    /// The last record from it, and to it.
    up: u64,
    down: u64,
    clients: HashMap<u64, Far>,
    channel: Arc<str>,
    takings: Arc<Takings>,
}

struct Far {
    client: Client,
    lost: Lost,
}

impl Owned {
    pub(crate) fn new(node: Arc<Node>, room: RoomName, channel: Arc<str>) -> Self {
        Self {
            node,
            room,
            channel,
            state: Mutex::default(),
        }
    }

    /// This node owns the room.
    pub(crate) fn begin(&self, epoch: u64, until: Instant) {
        let mut state = self.lock();
        state.term = Some(Current {
            epoch,
            until,
            seq: 0,
            has_lost: false,
        });
    }

    /// The lease has been renewed.
    pub(crate) fn extend(&self, until: Instant) {
        if let Some(term) = &mut self.lock().term {
            term.until = until;
        }
    }

    /// This node does not own the room any more, or not as it did. Its followers and their clients are gone.
    pub(crate) fn end(&self, shared: &Shared) {
        shared.door(|door| {
            let mut state = self.lock();
            state.term = None;
            let nodes: Vec<_> = state.followers.keys().copied().collect();
            // Another service may find in the mailbox who came for this one.
            for follower in state.followers.values() {
                follower.clients.values().for_each(|far| far.lost.set());
            }
            for node in nodes {
                state.drop_follower(node, door);
            }
        });
    }

    /// Closes all clients of followers.
    pub(crate) fn close_all(&self, frame: &Option<CloseFrame>) {
        let frame = frame.clone();
        let mut state = self.lock();
        state.tell_all(self, |seq| What::End { seq, frame });
    }

    /// Tells followers that this node does not own the room any more, nor does it listen to them. Returns the epoch, if it did.
    pub(crate) fn say_over(&self) -> Option<u64> {
        let term = self.lock().term.take()?;
        self.say(&self.channel, term.epoch, What::Over);
        Some(term.epoch)
    }

    /// Nodes that have been silent for too long are gone.
    pub(crate) fn drop_silent(&self, shared: &Shared) {
        let silent: Vec<_> = {
            let state = self.lock();
            let nodes = state.followers.keys().copied();
            nodes.filter(|node| !self.node.is_alive(*node)).collect()
        };
        for node in silent {
            tracing::debug!(target: "we::cluster", room = %self.room, %node, "a follower is lost");
            shared.door(|door| self.lock().drop_follower(node, door));
        }
    }

    /// Tells followers that the room is owned here, and up to which record they should have come.
    pub(crate) fn announce(&self) {
        let state = self.lock();
        if let Some(term) = &state.term {
            let seq = term.seq;
            self.say(&self.channel, term.epoch, What::Owner { seq });
        }
    }

    pub(crate) fn has_followers(&self) -> bool {
        !self.lock().followers.is_empty()
    }

    /// Whether something could not be sent, so that another term is to begin.
    pub(crate) fn has_lost(&self) -> bool {
        self.lock().term.as_ref().is_some_and(|term| term.has_lost)
    }

    /// A follower has said something.
    pub(crate) fn receive(&self, shared: &Arc<Shared>, from: NodeId, epoch: u64, what: What) {
        match what {
            What::Join { generation } => shared.door(|door| {
                let mut state = self.lock();
                let Some(seq) = state.seq_of(epoch) else {
                    return;
                };
                // Heard already.
                let is_known = |follower: &Follower| follower.generation >= generation;
                if state.followers.get(&from).is_some_and(is_known) {
                    return;
                }
                state.drop_follower(from, door);
                let follower = self.follower(from, epoch, generation);
                let welcome = What::Welcome { generation, seq };
                self.say(&follower.channel, epoch, welcome);
                state.followers.insert(from, follower);
            }),
            What::Leave { generation } => shared.door(|door| {
                let mut state = self.lock();
                let is_it = |follower: &Follower| follower.generation == generation;
                if state.followers.get(&from).is_some_and(is_it) {
                    state.drop_follower(from, door);
                }
            }),
            What::Connect {
                at,
                client,
                negotiated,
            } => shared.door(|door| {
                let mut state = self.lock();
                let Some(follower) = self.next_of(&mut state, door, from, epoch, at) else {
                    return;
                };
                let lost = Lost::default();
                let receipt = Receipt::new(follower.takings.clone(), at.seq);
                let entered = door.enter(&lost, Permit::Elsewhere(receipt), |id| {
                    Client::new(id, Arc::from(negotiated))
                });
                if let Some(entered) = entered {
                    let id = entered.id();
                    let far = Far {
                        client: entered,
                        lost,
                    };
                    let before = follower.clients.insert(client, far);
                    state.clients.insert(id, (from, client));
                    // Nobody comes twice, unless somebody else makes it up.
                    if let Some(before) = before {
                        state.clients.remove(&before.client.id());
                        door.leave(before.client.id());
                    }
                }
            }),
            What::Message {
                at,
                client,
                message,
            } => {
                let receipt = shared.door(|door| {
                    let mut state = self.lock();
                    let follower = self.next_of(&mut state, door, from, epoch, at)?;
                    let id = follower.clients.get(&client).map(|far| far.client.id());
                    let takings = follower.takings.clone();
                    Some((id, Receipt::new(takings, at.seq)))
                });
                // A receipt for a client that is not there is given back at once.
                if let Some((Some(id), receipt)) = receipt {
                    shared.said(id, message, Permit::Elsewhere(receipt));
                }
            }
            What::Disconnect { at, client } => shared.door(|door| {
                let mut state = self.lock();
                let Some(follower) = self.next_of(&mut state, door, from, epoch, at) else {
                    return;
                };
                if let Some(far) = follower.clients.remove(&client) {
                    state.clients.remove(&far.client.id());
                    door.leave(far.client.id());
                }
            }),
            // What owners say.
            _ => {}
        }
    }

    /// The follower that a record is from, if it is the next one. If one was lost, or it is from a follower that is not known, that is to
    /// join again.
    fn next_of<'a>(
        &self,
        state: &'a mut State,
        door: &mut Door<'_>,
        from: NodeId,
        epoch: u64,
        at: Stamp,
    ) -> Option<&'a mut Follower> {
        state.seq_of(epoch)?;
        let is_known = match state.followers.get(&from) {
            Some(follower) if follower.generation == at.generation => {
                if at.seq <= follower.up {
                    return None;
                }
                if at.seq > follower.up + 1 {
                    state.drop_follower(from, door);
                    false
                } else {
                    true
                }
            }
            Some(_) | None => false,
        };
        if !is_known {
            let generation = at.generation;
            let channel = self.node.link.channel_of(from);
            self.say(&channel, epoch, What::Rejoin { generation });
            return None;
        }
        let follower = state.followers.get_mut(&from)?;
        follower.up = at.seq;
        Some(follower)
    }

    fn follower(&self, from: NodeId, epoch: u64, generation: u64) -> Follower {
        let channel = self.node.link.channel_of(from);
        Follower {
            generation,
            up: 0,
            down: 0,
            clients: HashMap::new(),
            takings: Arc::new(Takings::new(
                self.node.clone(),
                channel.clone(),
                self.room.clone(),
                epoch,
                generation,
            )),
            channel,
        }
    }

    pub(crate) fn admit(&self, client: ClientId) {
        self.tell(client, |at, client| What::Admit { at, client });
    }

    pub(crate) fn close(&self, client: ClientId, frame: Option<&CloseFrame>) {
        let frame = frame.cloned();
        self.tell(client, |at, client| What::Close { at, client, frame });
    }

    pub(crate) fn send(&self, recipient: Recipient, message: &Message) {
        let message = || message.clone();
        let except = match recipient {
            Recipient::Client(client) => {
                return self.tell(client, |at, client| What::Send {
                    at,
                    client,
                    message: message(),
                });
            }
            Recipient::Everyone => None,
            Recipient::EveryoneExcept(client) => Some(client),
        };
        let mut state = self.lock();
        let except = except.and_then(|client| state.clients.get(&client).copied());
        state.tell_all(self, |seq| What::Everyone {
            seq,
            except,
            message: message(),
        });
    }

    /// Nobody is admitted any more. Returns all clients.
    pub(crate) fn begin_again(&self) -> Vec<Client> {
        let mut state = self.lock();
        state.tell_all(self, |seq| What::Again { seq });
        let followers = state.followers.values();
        let clients = followers.flat_map(|follower| follower.clients.values());
        clients.map(|far| far.client.clone()).collect()
    }

    /// Tells a follower something about one of its clients.
    fn tell(&self, client: ClientId, what: impl FnOnce(Stamp, u64) -> What) {
        let mut state = self.lock();
        let State {
            term,
            followers,
            clients,
        } = &mut *state;
        let Some((node, client)) = clients.get(&client) else {
            return;
        };
        if let (Some(term), Some(follower)) = (term, followers.get_mut(node)) {
            follower.down += 1;
            let at = Stamp {
                generation: follower.generation,
                seq: follower.down,
            };
            let is_sent =
                term.is_valid() && self.say(&follower.channel, term.epoch, what(at, *client));
            term.note(is_sent, self);
        }
    }

    /// Returns whether it will be sent.
    fn say(&self, channel: &Arc<str>, epoch: u64, what: What) -> bool {
        let room = self.room.clone();
        let record = Record::Room { room, epoch, what };
        self.node.link.publish(channel, &record)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn is_valid(&self) -> bool {
        Instant::now() < self.until
    }

    fn note(&mut self, is_sent: bool, owned: &Owned) {
        if !is_sent && !self.has_lost {
            self.has_lost = true;
            if let Some(place) = owned.node.place(&owned.room) {
                place.look_again();
            }
        }
    }
}

impl State {
    /// The last record for all, if this is the epoch.
    fn seq_of(&self, epoch: u64) -> Option<u64> {
        let term = self.term.as_ref()?;
        (term.epoch == epoch).then_some(term.seq)
    }

    /// Tells all followers something, with one record for all of them.
    fn tell_all(&mut self, owned: &Owned, what: impl FnOnce(u64) -> What) {
        let Some(term) = &mut self.term else {
            return;
        };
        if self.followers.is_empty() {
            return;
        }
        term.seq += 1;
        let is_sent = term.is_valid() && owned.say(&owned.channel, term.epoch, what(term.seq));
        term.note(is_sent, owned);
    }

    /// A follower is gone, with its clients.
    fn drop_follower(&mut self, node: NodeId, door: &mut Door<'_>) {
        let Some(follower) = self.followers.remove(&node) else {
            return;
        };
        for far in follower.clients.into_values() {
            self.clients.remove(&far.client.id());
            door.leave(far.client.id());
        }
    }
}
