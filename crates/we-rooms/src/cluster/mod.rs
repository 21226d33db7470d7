//! Rooms that are shared by several machines: clients of the same room are together, whichever server they are connected to.
//!
//! A room has **one** service. It runs on the node that holds the room's lease, its **owner**. The other nodes that have clients in
//! the room are **followers**: the comings, messages and goings of their clients are carried to the owner's service, and what it sends
//! is carried back. So a counter in a service counts right, and all clients see the same order.
//!
//! ```no_run
//! # use we_rooms::{ClientId, Context, Rooms, Service, services};
//! # struct Chat;
//! # impl Service for Chat {
//! #     fn message(&mut self, client: ClientId, data: we_net::Message, ctx: &mut Context<'_>) {}
//! # }
//! use we_rooms::cluster::{Cluster, ClusterOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::connect("redis://127.0.0.1:6379", ClusterOptions::default())?;
//! let rooms = Rooms::builder(cluster.wrap(services(|_room| Chat))).build();
//! # Ok(())
//! # }
//! ```
//!
//! # The broker
//!
//! A server that speaks the protocol of Redis (Redis from version 6, Valkey) carries what nodes say to each other, by publish and
//! subscribe; and it keeps the leases, as keys that run out. Nothing else is stored there. Whoever can reach it can listen
//! and take part: have it ask for a password, on a network of its own. There is no TLS to it. One broker, not a Redis Cluster: the order in which one node
//! publishes must be the order in which another one hears. What its `client-output-buffer-limit pubsub` (32 MiB, or 8 MiB for a minute)
//! allows may wait there for a node that is slow; then it ends the connection, which is made again.
//!
//! # What is delivered
//!
//! As long as nodes and broker are up, each message is delivered once, and in order: in that in which a client sent it, and in that in
//! which the service sent it. A message is **never delivered twice**. What was on its way when a connection to the
//! broker or a node was lost may not be delivered at all.
//!
//! Whatever is lost is noticed by its number. Then the follower joins again: for the service its clients go (`disconnect`) and come
//! (`connect`); their connections stay. The same happens if more than [`ClusterOptions::max_queue`] waits for the broker.
//!
//! A client that is slow is subject to [`SlowClients`](crate::SlowClients) where it is connected. A service that is slow holds up clients
//! everywhere: 1 MiB of each node may wait for it.
//!
//! # When something is lost
//!
//! | what | what happens |
//! |---|---|
//! | the broker | The owner goes on for its own clients; for its service the others have gone. A follower begins a service of its own for its clients. Both connect again, for ever, with pauses of 0.1 to 5 s |
//! | the broker comes back | One of them has the lease. The services of the others **end, with what they have remembered**; their clients stay connected, and come to the owner's service |
//! | a follower | When it has been silent for half of the lease its clients have gone, for the service |
//! | the owner | When its lease has run out a follower has it, with a fresh service, to which its clients come |
//! | the way between a node and the broker | as the broker, for this node; and for the others as if the node were lost |
//!
//! A node that could not renew its lease does not speak to others any more when it has run out by its own clock, and what it has said
//! before in the name of that term is not listened to when another one has begun.

mod follow;
mod keeper;
mod lease;
mod link;
mod node;
mod outbox;
mod owner;
mod place;
mod record;
mod runner;
mod takings;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::node::Node;
pub(crate) use self::place::Held;
use self::runner::Clustered;
pub(crate) use self::takings::Receipt;
use crate::runner::Runner;

/// How nodes are together.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClusterOptions {
    prefix: String,
    lease: Duration,
    max_queue: usize,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            prefix: "we".to_owned(),
            lease: Duration::from_secs(6),
            max_queue: 64 << 20,
        }
    }
}

impl ClusterOptions {
    /// What the names of channels and keys begin with; `we` unless set. Nodes with the same prefix share their rooms.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a room goes without an owner when its owner is lost; 6 s unless set, 1 s at least. A node tells each sixth of it that it is
    /// alive, and is taken for lost when it has been silent for half of it. The same for all nodes.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_secs(1));
        self
    }

    /// How many bytes may wait for the broker; 64 MiB unless set. One message that is longer may wait alone.
    pub fn max_queue(mut self, bytes: usize) -> Self {
        self.max_queue = bytes;
        self
    }

    /// The name of a channel or key. Nodes that do not understand each other share none.
    fn name(&self, kind: &str, of: &str) -> String {
        format!("{}:{}:{kind}:{of}", self.prefix, wire::VERSION)
    }

    fn beat(&self) -> Duration {
        self.lease / 6
    }

    fn silence(&self) -> Duration {
        self.lease / 2
    }

    /// How long a room waits for a broker that is not there before it goes on without.
    fn patience(&self) -> Duration {
        self.lease / 6
    }
}

/// Why there is no cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// This is no URL of a broker.
    #[error(
        "redis://HOST:PORT is the URL of a broker, with USER:PASSWORD@ before HOST if it asks for one; this is not: {0}"
    )]
    Url(String),
}

/// A node's part in a cluster. Cloned by pointer. Whoever drops the last one, and the rooms, leaves it: better by
/// [`leave`](Self::leave), or others wait for the leases to run out.
#[derive(Clone)]
pub struct Cluster(Arc<Task>);

struct Task {
    node: Arc<Node>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cluster {
    /// A node that connects to this broker, as soon as it can. Must be called in a runtime of tokio, which sees to that. One is enough for
    /// a server; of two with the same prefix in one process each is a node.
    ///
    /// # Errors
    /// If the URL is none of a broker, or asks for TLS.
    pub fn connect(url: &str, options: ClusterOptions) -> Result<Self, ClusterError> {
        let node = Node::new(url, options).map_err(ClusterError::Url)?;
        let node = Arc::new(node);
        let task = tokio::spawn(node::run(node.clone()));
        Ok(Self(Arc::new(Task { node, task })))
    }

    /// Shares the rooms whose services `runner` runs. For one [`Rooms`](crate::Rooms).
    pub fn wrap(&self, runner: impl Runner) -> impl Runner {
        Clustered::new(self.clone(), runner)
    }

    /// Whether the broker is connected to.
    pub fn is_connected(&self) -> bool {
        self.0.node.link.sessions().borrow().is_some()
    }

    /// Lets go of all rooms, so that others can take them over at once; 1 s at most. What is still served here then is
    /// served without the others. Call it before the server ends.
    pub async fn leave(&self) {
        self.0.node.leave().await;
        self.0.task.abort();
    }

    fn node(&self) -> &Arc<Node> {
        &self.0.node
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("node", &self.0.node.link.node)
            .field("options", &self.0.node.link.options)
            .finish_non_exhaustive()
    }
}

/// Between half of it and all of it.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::random_range(0.5..=1.0))
}
