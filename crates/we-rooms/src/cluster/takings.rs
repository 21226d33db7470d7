//! [`Takings`]: how much of what a follower has sent the service has taken, so that a slow one holds up clients everywhere.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::node::Node;
use super::record::{Record, What};
use super::wire;
use crate::name::RoomName;

/// What a service has taken of the messages of a follower, which is told of it: so much more may be on its way.
pub(crate) struct Takings {
    node: Arc<Node>,
    channel: Arc<str>,
    room: RoomName,
    epoch: u64,
    generation: u64,
    state: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    seq: u64,
    /// The follower is about to be told. What is taken until then is told with it.
    is_queued: bool,
}

impl Takings {
    pub(crate) fn new(
        node: Arc<Node>,
        channel: Arc<str>,
        room: RoomName,
        epoch: u64,
        generation: u64,
    ) -> Self {
        Self {
            node,
            channel,
            room,
            epoch,
            generation,
            state: Mutex::default(),
        }
    }

    /// What is to be told now, and where.
    pub(crate) fn record(&self) -> (Arc<str>, Vec<u8>) {
        let seq = {
            let mut taken = self.lock();
            taken.is_queued = false;
            taken.seq
        };
        let record = Record::Room {
            room: self.room.clone(),
            epoch: self.epoch,
            what: What::Taken {
                generation: self.generation,
                seq,
            },
        };
        (self.channel.clone(), wire::encode(&record))
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a follower's client has done has not been taken out of the mailbox yet. It has when this is dropped.
pub(crate) struct Receipt {
    takings: Arc<Takings>,
    seq: u64,
}

impl Receipt {
    pub(crate) fn new(takings: Arc<Takings>, seq: u64) -> Self {
        Self { takings, seq }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        let mut taken = self.takings.lock();
        taken.seq = taken.seq.max(self.seq);
        if !std::mem::replace(&mut taken.is_queued, true) {
            drop(taken);
            let takings = self.takings.clone();
            self.takings.node.link.taken(takings);
        }
    }
}
