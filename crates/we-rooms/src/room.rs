//! [`Room`]: a room, from the side of its service.

use std::collections::{HashSet, VecDeque};
use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::mpsc;
use we_net::Message;
use we_net::protocol::CloseFrame;

use crate::client::Client;
use crate::elsewhere::Permit;
use crate::name::RoomName;
use crate::service::{ClientId, Recipient};
use crate::shared::{Mail, Shared};

/// What happens in a room, for its service.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client has come. It is told of before anything that it does.
    Connect(Client),
    /// A client has sent a message.
    Message(ClientId, Message),
    /// A client has gone. Nothing more is told of it.
    Disconnect(ClientId),
}

/// A room, as whoever runs its service sees it.
pub struct Room {
    sender: RoomSender,
    pub(crate) mail: mpsc::UnboundedReceiver<Mail>,
    /// Of whom this service has been told.
    known: HashSet<ClientId>,
    /// Who was there before this service was, and has yet to be told of.
    again: VecDeque<Client>,
    /// The number of the service that is run.
    #[cfg(feature = "cluster")]
    pub(crate) turn: u64,
    #[cfg(feature = "cluster")]
    pub(crate) cluster: Option<crate::cluster::Held>,
}

/// What can be done to the clients of a room, from anywhere. Cloned by pointer.
#[derive(Clone)]
pub struct RoomSender(pub(crate) Arc<Shared>);

impl Room {
    pub(crate) fn new(shared: Arc<Shared>, mail: mpsc::UnboundedReceiver<Mail>) -> Self {
        Self {
            sender: RoomSender(shared),
            mail,
            known: HashSet::new(),
            again: VecDeque::new(),
            #[cfg(feature = "cluster")]
            turn: 0,
            #[cfg(feature = "cluster")]
            cluster: None,
        }
    }

    /// What happens next; `None` when the room has ended. Cancel-safe.
    ///
    /// Of each client there is first its coming, then its messages, then its going.
    pub async fn next(&mut self) -> Option<Event> {
        // What it took of the mailbox is given back.
        self.take().await.map(|(event, _permit)| event)
    }

    /// The same, with what it takes of the mailbox as long as this is kept.
    pub(crate) async fn take(&mut self) -> Option<(Event, Option<Permit>)> {
        loop {
            if let Some(client) = self.again.pop_front() {
                self.known.insert(client.id());
                return Some((Event::Connect(client), None));
            }
            match self.mail.recv().await? {
                Mail::Connect(client, permit) => {
                    self.known.insert(client.id());
                    return Some((Event::Connect(client), Some(Permit::Here(permit))));
                }
                Mail::Message(client, message, permit) => {
                    if self.known.contains(&client) {
                        return Some((Event::Message(client, message), Some(permit)));
                    }
                }
                Mail::Disconnect(client) => {
                    if self.known.remove(&client) {
                        return Some((Event::Disconnect(client), None));
                    }
                }
                Mail::End => {
                    self.mail.close();
                    return None;
                }
                #[cfg(feature = "cluster")]
                Mail::ConnectFar(client, lost, permit) => {
                    if !lost.is_lost() {
                        self.known.insert(client.id());
                        return Some((Event::Connect(client), Some(permit)));
                    }
                }
                #[cfg(feature = "cluster")]
                Mail::Pause(turn) => {
                    if turn == self.turn {
                        return None;
                    }
                }
            }
        }
    }

    /// What can be done to its clients by others, too.
    pub fn sender(&self) -> RoomSender {
        self.sender.clone()
    }

    /// Another service begins: the clients that the one before it has been told of are told of again.
    pub(crate) fn begin_again(&mut self) {
        let mut members = self.sender.0.lock();
        let mut clients = Vec::new();
        for (id, member) in &mut members.by_id {
            member.is_admitted = false;
            if self.known.contains(id) {
                clients.push(member.client.clone());
            }
        }
        if let Some(elsewhere) = &members.elsewhere {
            let known = |client: &Client| self.known.contains(&client.id());
            clients.extend(elsewhere.begin_again().into_iter().filter(known));
        }
        drop(members);
        // Who stood here still has not been told of at all.
        clients.extend(self.again.drain(..));
        clients.sort_by_key(Client::id);
        self.again = clients.into();
        self.known.clear();
    }
}

impl Deref for Room {
    type Target = RoomSender;

    fn deref(&self) -> &RoomSender {
        &self.sender
    }
}

impl RoomSender {
    /// The room's name.
    pub fn name(&self) -> &RoomName {
        self.0.name()
    }

    /// Makes a client one of [`Recipient::Everyone`]: its service knows it from now on. What was sent to everyone before is not for it.
    pub fn admit(&self, client: ClientId) {
        let mut members = self.0.lock();
        if let Some(member) = members.by_id.get_mut(&client) {
            member.is_admitted = true;
        } else if let Some(elsewhere) = &members.elsewhere {
            elsewhere.admit(client);
        }
    }

    /// Sends a message. It never waits: what a client does not take fast enough is subject to [`SlowClients`](crate::SlowClients). Returns to how
    /// many clients of this server it went, which is about how long it took.
    pub fn send(&self, recipient: Recipient, message: Message) -> usize {
        let room = &self.0;
        let except = match recipient {
            Recipient::Client(client) => {
                let members = room.lock();
                if let Some(member) = members.by_id.get(&client) {
                    let queue = member.queue.clone();
                    drop(members);
                    room.note(queue.push(message));
                } else if let Some(elsewhere) = &members.elsewhere {
                    elsewhere.send(recipient, &message);
                }
                return 1;
            }
            Recipient::Everyone => None,
            Recipient::EveryoneExcept(client) => Some(client),
        };
        let message = message.into_shared();
        let members = room.lock();
        let mut reached = 0;
        for (id, member) in &members.by_id {
            if member.is_admitted && Some(*id) != except {
                room.note(member.queue.push(message.clone()));
                reached += 1;
            }
        }
        // While the lock is held, so that all see the same order.
        if let Some(elsewhere) = &members.elsewhere {
            elsewhere.send(recipient, &message);
        }
        reached
    }

    /// Ends the connection of a client, behind what was sent to it. `None` sends no code. What it says from now on is for nobody. A client
    /// that does not take what waits for it has 5 s for it.
    pub fn close(&self, client: ClientId, frame: Option<CloseFrame>) {
        let members = self.0.lock();
        if let Some(member) = members.by_id.get(&client) {
            member.queue.close(frame);
        } else if let Some(elsewhere) = &members.elsewhere {
            elsewhere.close(client, frame.as_ref());
        }
    }
}

impl std::fmt::Debug for RoomSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RoomSender").field(self.0.name()).finish()
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Room").field(self.sender.0.name()).finish()
    }
}
