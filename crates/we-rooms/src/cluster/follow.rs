//! [`Following`]: what a follower has heard of a room's owner, and what it may still say to it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::lease::Term;
use super::link::Link;
use super::record::{NodeId, Record, Stamp, What};
use crate::elsewhere::Permit;
use crate::name::RoomName;
use crate::room::{Event, RoomSender};
use crate::service::{ClientId, Recipient};

/// Locked before the room, never behind it.
pub(crate) struct Following {
    room: RoomName,
    state: Mutex<State>,
    /// It has joined, or has to do it again.
    pub(crate) turned: Notify,
}

#[derive(Default)]
struct State {
    generation: u64,
    phase: Phase,
}

#[derive(Default)]
enum Phase {
    /// Nothing that an owner says is for this node.
    #[default]
    Idle,
    /// The owner has been asked.
    Joining(Term),
    Joined(Joined),
}

struct Joined {
    term: Term,
    channel: Arc<str>,
    /// The last record for all, to this node, and from it.
    all: u64,
    down: u64,
    up: u64,
    /// What comings and messages take of this room's mailbox until the service has taken them.
    untaken: VecDeque<(u64, Permit)>,
}

impl Following {
    pub(crate) fn new(room: RoomName) -> Self {
        Self {
            room,
            state: Mutex::default(),
            turned: Notify::new(),
        }
    }

    /// Asks the owner of a term. What it said before is not for this node any more.
    pub(crate) fn join(&self, link: &Link, term: Term) {
        let mut state = self.lock();
        let generation = link.next_generation();
        state.generation = generation;
        state.phase = Phase::Joining(term);
        let channel = link.channel_of(term.owner);
        self.say(link, &channel, term, What::Join { generation });
    }

    pub(crate) fn has_joined(&self) -> bool {
        matches!(self.lock().phase, Phase::Joined(_))
    }

    /// No owner is followed any more.
    pub(crate) fn stop(&self, link: &Link) {
        let mut state = self.lock();
        let generation = state.generation;
        let term = match std::mem::take(&mut state.phase) {
            Phase::Idle => return,
            Phase::Joining(term) => term,
            Phase::Joined(joined) => joined.term,
        };
        let channel = link.channel_of(term.owner);
        self.say(link, &channel, term, What::Leave { generation });
    }

    /// Tells the owner what has happened.
    pub(crate) fn relay(&self, link: &Link, event: Event, permit: Option<Permit>) {
        let mut state = self.lock();
        let generation = state.generation;
        let Phase::Joined(joined) = &mut state.phase else {
            return;
        };
        joined.up += 1;
        let seq = joined.up;
        let at = Stamp { generation, seq };
        let what = match event {
            Event::Connect(client) => What::Connect {
                at,
                client: client.id().0,
                negotiated: Box::new(client.negotiated().clone()),
            },
            Event::Message(client, message) => What::Message {
                at,
                client: client.0,
                message,
            },
            Event::Disconnect(client) => What::Disconnect {
                at,
                client: client.0,
            },
        };
        if let Some(permit) = permit {
            joined.untaken.push_back((seq, permit));
        }
        let (channel, term) = (joined.channel.clone(), joined.term);
        if !self.say(link, &channel, term, what) {
            state.phase = Phase::Idle;
            self.turned.notify_one();
        }
    }

    fn say(&self, link: &Link, channel: &Arc<str>, term: Term, what: What) -> bool {
        let record = Record::Room {
            room: self.room.clone(),
            epoch: term.epoch,
            what,
        };
        link.publish(channel, &record)
    }

    /// An owner has said something. Returns whether the lease is to be looked at.
    pub(crate) fn receive(
        &self,
        link: &Link,
        room: &RoomSender,
        from: NodeId,
        epoch: u64,
        what: What,
    ) -> bool {
        let mut state = self.lock();
        let generation = state.generation;
        let term = match &state.phase {
            Phase::Idle => return false,
            Phase::Joining(term) => *term,
            Phase::Joined(joined) => joined.term,
        };
        if (Term { epoch, owner: from }) != term {
            // Whoever follows nobody that is there any more finds out by it.
            return epoch > term.epoch;
        }
        if let What::Welcome {
            generation: welcome,
            seq,
        } = what
        {
            if welcome == generation && matches!(state.phase, Phase::Joining(_)) {
                state.phase = Phase::Joined(Joined {
                    term,
                    channel: link.channel_of(term.owner),
                    all: seq,
                    down: 0,
                    up: 0,
                    untaken: VecDeque::new(),
                });
                self.turned.notify_one();
            }
            return false;
        }
        if what == What::Over {
            return true;
        }
        let Phase::Joined(joined) = &mut state.phase else {
            return false;
        };
        // Whatever is done to clients is done while this is locked: not after this node has turned away.
        if joined.receive(link.node, room, generation, what).is_err() {
            state.phase = Phase::Idle;
            self.turned.notify_one();
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something was lost, so that this node is to join again.
struct Missed;

/// Whether a record is the next one, and not one that has been heard already.
fn is_next(last: &mut u64, seq: u64) -> Result<bool, Missed> {
    if seq > *last + 1 {
        return Err(Missed);
    }
    let is_next = seq == *last + 1;
    if is_next {
        *last = seq;
    }
    Ok(is_next)
}

impl Joined {
    fn receive(
        &mut self,
        node: NodeId,
        room: &RoomSender,
        generation: u64,
        what: What,
    ) -> Result<(), Missed> {
        let is_new = match &what {
            What::Admit { at, .. } | What::Send { at, .. } | What::Close { at, .. } => {
                at.generation == generation && is_next(&mut self.down, at.seq)?
            }
            What::Everyone { seq, .. } | What::Again { seq } | What::End { seq, .. } => {
                is_next(&mut self.all, *seq)?
            }
            _ => true,
        };
        if !is_new {
            return Ok(());
        }
        match what {
            What::Admit { client, .. } => room.admit(ClientId(client)),
            What::Send {
                client, message, ..
            } => {
                room.send(Recipient::Client(ClientId(client)), message);
            }
            What::Close { client, frame, .. } => room.close(ClientId(client), frame),
            What::Everyone {
                except, message, ..
            } => {
                let except = except.filter(|(of, _)| *of == node);
                let recipient = except.map_or(Recipient::Everyone, |(_, client)| {
                    Recipient::EveryoneExcept(ClientId(client))
                });
                room.send(recipient, message);
            }
            What::Again { .. } => room.0.dismiss(),
            What::End { frame, .. } => room.0.close_clients(frame.as_ref()),
            What::Owner { seq } if seq > self.all => return Err(Missed),
            What::Rejoin { generation: of } if of == generation => return Err(Missed),
            What::Taken {
                generation: of,
                seq,
            } if of == generation => {
                let is_taken = |(at, _): &(u64, Permit)| *at <= seq;
                while self.untaken.front().is_some_and(is_taken) {
                    self.untaken.pop_front();
                }
            }
            _ => {}
        }
        Ok(())
    }
}
