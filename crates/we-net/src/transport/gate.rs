//! One connection in its opening handshake per address at a time: the others wait their turn.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc6455#section-4.1> (client requirements, 2): a script
//! that opens thousands of connections at once must not turn its visitors into an attack on a
//! server. There is no limit on connections that are open.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

/// More doors than this are looked through for those that nobody stands at.
const SWEEP_FROM: usize = 64;

/// The queues of a client, one for each address. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    doors: Arc<Mutex<HashMap<SocketAddr, Weak<tokio::sync::Mutex<()>>>>>,
}

/// The right to open a connection. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Turn {
    _guard: OwnedMutexGuard<()>,
}

impl Gate {
    /// Waits until no other connection to `address` is being opened, first come, first served.
    /// Dropping the future leaves the queue.
    pub(crate) async fn enter(&self, address: SocketAddr) -> Turn {
        let door = self.door(address);
        Turn {
            _guard: door.lock_owned().await,
        }
    }

    fn door(&self, address: SocketAddr) -> Arc<tokio::sync::Mutex<()>> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.get(&address).and_then(Weak::upgrade) {
            return door;
        }
        if doors.len() >= SWEEP_FROM {
            doors.retain(|_, door| door.strong_count() > 0);
        }
        let door = Arc::default();
        doors.insert(address, Arc::downgrade(&door));
        door
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

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
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
        let doors = gate.doors.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            doors.len() <= SWEEP_FROM && doors.contains_key(&address(1)),
            "{}",
            doors.len()
        );
        drop(held);
    }
}
