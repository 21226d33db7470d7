//! [`Cluster`]: the agents that a program consists of, and when the program has come to its end.
//!
//! An agent that waits may be woken by a message of another one, so that an agent has nothing to do does not mean that
//! the program is over. It is over when no agent has anything to do: no task, timer, connection or job, and no message
//! under way. The cluster counts the active agents. An agent stops counting as active under the lock of its mailbox and
//! only if that is empty, and whoever posts to an idle agent makes it count again under the same lock, while the poster
//! itself still counts. So the count falls to zero only when there is nothing left anywhere, and nothing can raise it
//! then but the world outside.
//!
//! One agent does not count though it may still post: a worker that was terminated and has not ended yet, since nobody is to
//! wait for a script that cannot be stopped. The main agent gives such workers a moment before it takes the program for
//! over, so that others hear that their ports have closed.
//!
//! This is why neither a worker nor a message port has to keep a program running: what they can do, somebody active
//! must bring about.
//!
//! <https://tc39.es/ecma262/#sec-agent-clusters>

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use super::mailbox::Mailbox;
use crate::fetch::Slots;

/// Whether an agent was the last active one of its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Yes,
    No,
}

/// An embedder's agent and all workers that descend from it.
#[derive(Default)]
pub(crate) struct Cluster {
    active: AtomicUsize,
    /// The first agent, which returns to the embedder when the last one has become idle.
    main: OnceLock<Weak<Mailbox>>,
    slots: Slots,
}

impl Cluster {
    /// Makes the cluster's first agent the main one.
    pub(super) fn set_main(&self, mailbox: &Arc<Mailbox>) {
        self.main.get_or_init(|| Arc::downgrade(mailbox));
    }

    /// The connections that the program's fetches may have.
    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Counts an agent as active.
    pub(super) fn enter(&self) {
        self.active.fetch_add(1, Ordering::SeqCst);
    }

    /// No longer counts an agent as active.
    pub(super) fn leave(&self) -> Last {
        if self.active.fetch_sub(1, Ordering::SeqCst) == 1 {
            Last::Yes
        } else {
            Last::No
        }
    }

    /// Wakes the main agent to see that all are idle.
    pub(super) fn tell_main(&self) {
        if let Some(main) = self.main.get().and_then(Weak::upgrade) {
            main.post(|contents| contents.look_again = true);
        }
    }

    /// Whether this is the mailbox of the main agent.
    pub(super) fn is_main(&self, mailbox: &Mailbox) -> bool {
        self.main
            .get()
            .is_some_and(|main| std::ptr::eq(main.as_ptr(), mailbox))
    }
}
