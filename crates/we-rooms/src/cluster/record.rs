//! [`Record`]: what nodes say to each other.

use std::fmt;

use we_net::Message;
use we_net::protocol::CloseFrame;
use we_net::socket::Negotiated;

use crate::name::RoomName;

/// Names a node, for as long as its process lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(crate) u128);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The place of a record in what a follower and an owner say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Which of the follower's attempts to join.
    pub(crate) generation: u64,
    /// 1, 2, 3 and so on in each direction.
    pub(crate) seq: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The node is alive.
    Beat,
    /// The node is about to go.
    Bye,
    /// About a room, in the time of one of its owners.
    Room {
        room: RoomName,
        epoch: u64,
        what: What,
    },
}

/// Clients are called by the numbers that they have where they are connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    // From a follower to the owner.
    /// The follower begins: whoever came in from it before is gone.
    Join {
        generation: u64,
    },
    /// The follower goes, with its clients.
    Leave {
        generation: u64,
    },
    Connect {
        at: Stamp,
        client: u64,
        negotiated: Box<Negotiated>,
    },
    Message {
        at: Stamp,
        client: u64,
        message: Message,
    },
    Disconnect {
        at: Stamp,
        client: u64,
    },

    // From the owner to a follower.
    /// The follower has joined. `seq` is the last record that was for all before.
    Welcome {
        generation: u64,
        seq: u64,
    },
    /// Something was lost: the follower is to join again.
    Rejoin {
        generation: u64,
    },
    /// The service has taken the messages up to this one.
    Taken {
        generation: u64,
        seq: u64,
    },
    Admit {
        at: Stamp,
        client: u64,
    },
    Send {
        at: Stamp,
        client: u64,
        message: Message,
    },
    Close {
        at: Stamp,
        client: u64,
        frame: Option<CloseFrame>,
    },

    // From the owner to all followers.
    /// The sender owns the room. `seq` is the last record that was for all.
    Owner {
        seq: u64,
    },
    Everyone {
        seq: u64,
        except: Option<(NodeId, u64)>,
        message: Message,
    },
    /// Another service begins: nobody is admitted.
    Again {
        seq: u64,
    },
    /// All clients are to be closed.
    End {
        seq: u64,
        frame: Option<CloseFrame>,
    },
    /// The sender owns the room no more.
    Over,
}
