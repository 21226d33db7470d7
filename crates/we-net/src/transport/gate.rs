//! One connection in its opening handshake per address at a time: the others wait their turn.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc6455#section-4.1> (client requirements, 2): a script
//! that opens thousands of connections at once must not turn its visitors into an attack on a
//! server. There is no limit on connections that are open.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;
use url::Url;

use crate::handshake::authority;

/// More doors than this are looked through for those that nobody stands at.
const SWEEP_FROM: usize = 64;

/// What connections queue at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    /// The address of the server.
    Address(SocketAddr),
    /// Its host and port, where a proxy looks up the address: each name counts as another server
    /// then, as the standard has it.
    Name(String),
    /// A Unix socket.
    Path(Arc<Path>),
}

impl Door {
    /// The first of the server's `addresses`, or without any its name.
    pub(crate) fn of(addresses: &[SocketAddr], url: &Url) -> Self {
        match addresses.first() {
            Some(address) => Self::Address(*address),
            None => Self::Name(authority(url)),
        }
    }
}

type Queue = tokio::sync::Mutex<()>;

/// The queues of a client, one for each address. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    queues: Arc<Mutex<HashMap<Door, Weak<Queue>>>>,
}

/// The right to open a connection. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Turn {
    _guard: OwnedMutexGuard<()>,
}

impl Gate {
    /// Waits until no other connection is being opened through `door`, first come, first served.
    /// Dropping the future leaves the queue.
    pub(crate) async fn enter(&self, door: Door) -> Turn {
        let queue = self.queue(door);
        Turn {
            _guard: queue.lock_owned().await,
        }
    }

    fn queue(&self, door: Door) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&door).and_then(Weak::upgrade) {
            return queue;
        }
        if queues.len() >= SWEEP_FROM {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::default();
        queues.insert(door, Arc::downgrade(&queue));
        queue
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    fn address(port: u16) -> Door {
        Door::Address(([127, 0, 0, 1], port).into())
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_for_each_address() {
        let gate = Gate::default();
        let soon = Duration::from_secs(1);
        let first = gate.enter(address(1)).await;
        assert!(timeout(soon, gate.clone().enter(address(1))).await.is_err());
        assert!(timeout(soon, gate.enter(address(2))).await.is_ok());
        drop(first);
        assert!(timeout(soon, gate.enter(address(1))).await.is_ok());
    }

    #[tokio::test]
    async fn doors_that_nobody_stands_at_are_taken_away() {
        let gate = Gate::default();
        let held = gate.enter(address(1)).await;
        for port in 2..1000 {
            gate.enter(address(port)).await;
        }
        let queues = gate.queues.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            queues.len() <= SWEEP_FROM && queues.contains_key(&address(1)),
            "{}",
            queues.len()
        );
        drop(held);
    }
}
