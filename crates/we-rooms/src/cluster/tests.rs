//! What followers and owners make of records that are not the next ones. No broker is needed: what they say is said to nobody.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use we_net::Message;
use we_net::socket::Negotiated;

use super::ClusterOptions;
use super::follow::Following;
use super::lease::Term;
use super::node::Node;
use super::owner::Owned;
use super::record::{NodeId, Stamp, What};
use crate::client::Client;
use crate::name::RoomName;
use crate::queue::{Next, SlowClients};
use crate::room::{Event, Room};
use crate::service::{ClientId, Recipient};
use crate::shared::{Seat, Shared};

const OWNER: NodeId = NodeId(7);
const TERM: Term = Term {
    epoch: 100,
    owner: OWNER,
};

fn room() -> (Arc<Node>, RoomName, Arc<Shared>, Room) {
    let node = Node::new("redis://127.0.0.1:1", ClusterOptions::default()).unwrap();
    let name = RoomName::new("x").unwrap();
    let (shared, room) = Shared::new(
        name.clone(),
        1 << 20,
        SlowClients::default(),
        Arc::default(),
    );
    (Arc::new(node), name, shared, room)
}

struct Follower {
    node: Arc<Node>,
    following: Following,
    room: Room,
    seat: Seat,
    generation: u64,
}

impl Follower {
    /// One that has joined, with client 1, after 5 records for all.
    fn joined() -> Self {
        let (node, name, shared, room) = room();
        let seat = {
            let arrival = shared.arrive(1).unwrap();
            shared.enter(arrival, |id| Client::new(id, Arc::default()))
        };
        room.admit(ClientId(1));
        let following = Following::new(name);
        following.join(&node.link, TERM);
        let generation = node.link.next_generation() - 1;
        let follower = Self {
            node,
            following,
            room,
            seat,
            generation,
        };
        let generation = follower.generation;
        follower.hears(OWNER, 100, What::Welcome { generation, seq: 5 });
        assert!(follower.following.has_joined());
        follower
    }

    fn hears(&self, from: NodeId, epoch: u64, what: What) -> bool {
        let (link, room) = (&self.node.link, self.room.sender());
        self.following.receive(link, &room, from, epoch, what)
    }

    /// What the client is sent.
    fn sent(&self) -> Vec<String> {
        std::iter::from_fn(|| match self.seat.queue().try_next()? {
            Next::Send(message) => message.as_text().map(str::to_owned),
            Next::Close(_) => None,
        })
        .collect()
    }
}

fn everyone(seq: u64) -> What {
    What::Everyone {
        seq,
        except: None,
        message: Message::text(format!("all {seq}")),
    }
}

fn send(generation: u64, seq: u64) -> What {
    What::Send {
        at: Stamp { generation, seq },
        client: 1,
        message: Message::text(format!("one {seq}")),
    }
}

#[test]
fn a_follower_takes_each_record_once() {
    let follower = Follower::joined();
    for seq in [5, 6, 6, 5, 7] {
        follower.hears(OWNER, 100, everyone(seq));
    }
    for seq in [1, 1, 2, 1] {
        follower.hears(OWNER, 100, send(follower.generation, seq));
    }
    assert!(follower.following.has_joined());
    assert_eq!(follower.sent(), ["all 6", "all 7", "one 1", "one 2"]);
}

#[test]
fn nobody_is_admitted_when_another_service_has_begun() {
    let follower = Follower::joined();
    follower.hears(OWNER, 100, What::Again { seq: 6 });
    follower.hears(OWNER, 100, everyone(7));
    let at = Stamp {
        generation: follower.generation,
        seq: 1,
    };
    follower.hears(OWNER, 100, What::Admit { at, client: 1 });
    follower.hears(OWNER, 100, everyone(8));
    assert_eq!(follower.sent(), ["all 8"]);
}

#[test]
fn a_follower_that_has_missed_something_is_to_join_again() {
    let generation = Follower::joined().generation;
    for missed in [
        everyone(7),
        send(generation, 2),
        What::Owner { seq: 6 },
        What::Again { seq: 8 },
        What::Rejoin { generation },
    ] {
        let follower = Follower::joined();
        follower.hears(OWNER, 100, missed.clone());
        assert!(!follower.following.has_joined(), "{missed:?}");
        // Nothing that comes is for it.
        follower.hears(OWNER, 100, everyone(6));
        assert_eq!(follower.sent(), [""; 0], "{missed:?}");
    }
}

#[test]
fn a_follower_listens_to_the_owner_of_its_term_only() {
    let follower = Follower::joined();
    assert!(!follower.hears(OWNER, 99, everyone(6)));
    assert!(!follower.hears(NodeId(8), 100, everyone(6)));
    // Somebody begins a newer term: the lease tells whether that is so.
    assert!(follower.hears(NodeId(8), 101, everyone(6)));
    assert!(follower.hears(OWNER, 100, What::Over));
    let generation = follower.generation;
    follower.hears(OWNER, 100, send(generation - 1, 1));
    follower.hears(OWNER, 100, What::Rejoin { generation: 77 });
    follower.hears(OWNER, 100, What::Owner { seq: 5 });
    assert!(follower.following.has_joined());
    assert_eq!(follower.sent(), [""; 0]);
}

struct Owner {
    node: Arc<Node>,
    owned: Owned,
    shared: Arc<Shared>,
    room: Room,
}

const FOLLOWER: NodeId = NodeId(9);

impl Owner {
    /// One with a follower of generation 3 with client 1.
    fn followed() -> Self {
        let (node, name, shared, room) = room();
        let owned = Owned::new(node.clone(), name, "x".into());
        owned.begin(100, Instant::now() + Duration::from_secs(60));
        let owner = Self {
            node,
            owned,
            shared,
            room,
        };
        owner.hears(100, What::Join { generation: 3 });
        owner.hears(100, connect(3, 1, 1));
        owner
    }

    fn hears(&self, epoch: u64, what: What) {
        self.owned.receive(&self.shared, FOLLOWER, epoch, what);
    }

    /// What its service is told.
    fn told(&mut self) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        self.shared.pause(self.room.next_turn());
        let room = &mut self.room;
        runtime.unwrap().block_on(async {
            let mut told = Vec::new();
            while let Some(event) = room.next().await {
                told.push(match event {
                    Event::Connect(client) => format!("+{}", client.id()),
                    Event::Message(client, message) => {
                        format!("{client} {}", message.as_text().unwrap())
                    }
                    Event::Disconnect(client) => format!("-{client}"),
                });
            }
            told
        })
    }
}

fn connect(generation: u64, seq: u64, client: u64) -> What {
    What::Connect {
        at: Stamp { generation, seq },
        client,
        negotiated: Box::<Negotiated>::default(),
    }
}

fn message(generation: u64, seq: u64) -> What {
    What::Message {
        at: Stamp { generation, seq },
        client: 1,
        message: Message::text(format!("m{seq}")),
    }
}

#[test]
fn an_owner_takes_each_record_once() {
    let mut owner = Owner::followed();
    for seq in [1, 2, 2, 1, 3, 2] {
        owner.hears(100, message(3, seq));
    }
    owner.hears(100, What::Join { generation: 3 });
    owner.hears(100, What::Join { generation: 2 });
    owner.hears(100, What::Leave { generation: 2 });
    assert_eq!(owner.told(), ["+1", "1 m2", "1 m3"]);
    assert!(!owner.shared.is_empty());
}

#[test]
fn an_owner_listens_to_its_term_and_the_attempt_that_it_knows() {
    let mut owner = Owner::followed();
    owner.hears(99, message(3, 2));
    owner.hears(101, message(3, 2));
    owner.hears(100, message(2, 2));
    owner.hears(100, message(4, 2));
    owner.hears(100, message(3, 2));
    assert_eq!(owner.told(), ["+1", "1 m2"]);
}

#[test]
fn clients_of_a_follower_of_which_something_is_missing_are_gone() {
    let mut owner = Owner::followed();
    assert_eq!(owner.node.link.waiting(), 0);
    owner.hears(100, message(3, 3));
    // It is told to join again.
    assert!(owner.node.link.waiting() > 0);
    owner.hears(100, message(3, 2));
    assert_eq!(owner.told(), ["+1", "-1"]);
    assert!(owner.shared.is_empty());
    // It joins again.
    owner.hears(100, What::Join { generation: 4 });
    owner.hears(100, connect(4, 1, 1));
    owner.hears(100, message(4, 2));
    owner.hears(100, What::Leave { generation: 4 });
    assert_eq!(owner.told(), ["+2", "2 m2", "-2"]);
}

#[test]
fn who_was_not_told_of_when_a_term_ended_never_came() {
    let mut owner = Owner::followed();
    owner.hears(100, message(3, 2));
    owner.owned.end(&owner.shared);
    assert_eq!(owner.told(), [""; 0]);
    assert!(owner.shared.is_empty());
    owner.hears(100, What::Join { generation: 4 });
    owner.hears(100, connect(4, 1, 1));
    assert!(owner.shared.is_empty(), "it owns nothing");
}

#[test]
fn an_owner_whose_lease_has_run_out_by_its_clock_says_nothing() {
    for (left, says) in [(60, true), (0, false)] {
        let (node, name, shared, _room) = room();
        let owned = Owned::new(node.clone(), name, "x".into());
        owned.begin(100, Instant::now() + Duration::from_secs(left));
        node.link.waiting();
        let join = What::Join { generation: 1 };
        owned.receive(&shared, FOLLOWER, 100, join);
        let before = node.link.waiting();
        owned.send(Recipient::Everyone, &"x".into());
        assert_eq!(node.link.waiting() > before, says);
        assert_eq!(owned.has_lost(), !says);
    }
}

#[test]
fn a_service_is_not_ended_by_what_was_to_end_the_one_before() {
    let (_, _, shared, mut room) = room();
    let before = room.next_turn();
    shared.pause(before);
    room.next_turn();
    shared.enter(shared.arrive(1).unwrap(), |id| {
        Client::new(id, Arc::default())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let event = runtime.unwrap().block_on(room.next());
    assert!(matches!(event, Some(Event::Connect(_))), "{event:?}");
}
