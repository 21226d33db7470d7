//! Clients of a room that are connected to other machines, as the room sees them.
//!
//! The room knows how many they are, their names are of the same numbers as those of the clients that are here, and what happens to them
//! stands in the same mailbox. What is done to them goes to whoever has brought them in, an [`Elsewhere`].

use tokio::sync::OwnedSemaphorePermit;
use we_net::Message;
use we_net::protocol::CloseFrame;

use crate::client::Client;
use crate::service::{ClientId, Recipient};

/// Whoever has brought in the clients of other machines. Called while the room is locked, so that what reaches them has the same order as
/// what reaches those that are here; it must not wait, nor lock the room.
pub(crate) trait Elsewhere: Send + Sync {
    /// A client has become one of everyone, if it is one of these.
    fn admit(&self, client: ClientId);

    /// Sends a message to those of these that it is for.
    fn send(&self, recipient: Recipient, message: &Message);

    /// Ends the connection of a client, if it is one of these.
    fn close(&self, client: ClientId, frame: Option<&CloseFrame>);

    /// Another service begins, so none of them is admitted. Returns all of them.
    fn begin_again(&self) -> Vec<Client>;

    /// The room has ended; with a frame, for these, too, and otherwise only here.
    fn end(&self, frame: Option<&Option<CloseFrame>>);
}

/// Who is told of the end of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The clients that are here.
    Here,
    /// All of them.
    Everywhere,
}

/// What a message takes of a mailbox until its service has taken it out.
pub(crate) enum Permit {
    /// Of the mailbox of this room.
    Here(#[allow(dead_code, reason = "its end counts")] OwnedSemaphorePermit),
    /// Of the mailbox of the machine that it has come from.
    #[cfg(feature = "cluster")]
    Elsewhere(#[allow(dead_code, reason = "its end counts")] crate::cluster::Receipt),
}

#[cfg(feature = "cluster")]
pub(crate) use far::{Door, Lost};

#[cfg(feature = "cluster")]
mod far {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use we_net::Message;

    use super::{Elsewhere, Permit};
    use crate::client::Client;
    use crate::room::Room;
    use crate::service::ClientId;
    use crate::shared::{Counters, Mail, Members, Shared};

    /// Whether a client of another machine has been cut off before its service was told of it.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Lost(Arc<AtomicBool>);

    impl Lost {
        pub(crate) fn set(&self) {
            self.0.store(true, Relaxed);
        }

        pub(crate) fn is_lost(&self) -> bool {
            self.0.load(Relaxed)
        }
    }

    /// Where clients of other machines come in and go out. The room is locked as long as it is open.
    pub(crate) struct Door<'a> {
        room: &'a Shared,
        members: &'a mut Members,
        /// Somebody has passed.
        is_used: bool,
    }

    impl Door<'_> {
        /// Brings in a client, and tells the service; unless the room has ended.
        pub(crate) fn enter(
            &mut self,
            lost: &Lost,
            permit: Permit,
            make: impl FnOnce(ClientId) -> Client,
        ) -> Option<Client> {
            if self.members.closed.is_some() {
                return None;
            }
            self.members.last_id += 1;
            self.members.far += 1;
            self.is_used = true;
            let client = make(ClientId(self.members.last_id));
            let mail = Mail::ConnectFar(client.clone(), lost.clone(), permit);
            let _ = self.room.mail.send(mail);
            Some(client)
        }

        /// A client that has come in goes out.
        pub(crate) fn leave(&mut self, client: ClientId) {
            self.members.far = self.members.far.saturating_sub(1);
            self.is_used = true;
            let _ = self.room.mail.send(Mail::Disconnect(client));
        }
    }

    impl Drop for Door<'_> {
        fn drop(&mut self) {
            if self.is_used {
                self.room.recount(self.members);
            }
        }
    }

    impl Shared {
        /// From now on there may be clients elsewhere. Returns whether the room has not ended yet.
        pub(crate) fn open_to(&self, elsewhere: Arc<dyn Elsewhere>) -> bool {
            let mut members = self.lock();
            let is_open = members.closed.is_none();
            if is_open {
                members.elsewhere = Some(elsewhere);
            }
            is_open
        }

        pub(crate) fn door<R>(&self, pass: impl FnOnce(&mut Door<'_>) -> R) -> R {
            let mut members = self.lock();
            pass(&mut Door {
                room: self,
                members: &mut members,
                is_used: false,
            })
        }

        /// A client of elsewhere has sent a message.
        pub(crate) fn said(&self, client: ClientId, message: Message, permit: Permit) {
            Counters::add(&self.counters.received, 1);
            Counters::add(&self.all.received, 1);
            let _ = self.mail.send(Mail::Message(client, message, permit));
        }

        /// Has the service of this number end behind what is in the mailbox.
        pub(crate) fn pause(&self, turn: u64) {
            let _ = self.mail.send(Mail::Pause(turn));
        }

        /// Nobody who is here is one of everyone any more.
        pub(crate) fn dismiss(&self) {
            for member in self.lock().by_id.values_mut() {
                member.is_admitted = false;
            }
        }
    }

    impl Room {
        /// Another service is about to be run. Returns the number by which [`Shared::pause`] ends it, and no other one.
        pub(crate) fn next_turn(&mut self) -> u64 {
            self.turn += 1;
            self.turn
        }

        /// Whether the room has ended, and not just its service.
        pub(crate) fn has_ended(&self) -> bool {
            self.mail.is_closed()
        }
    }
}
