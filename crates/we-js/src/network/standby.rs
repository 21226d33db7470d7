//! The standby thread: it drives the network while a script keeps the loop's thread busy.
//!
//! While the loop waits, its own thread drives the network, and a message costs no hand-over between threads. When a
//! script has run for a millisecond or two, this thread takes over, so pings are answered, frames decoded and writes
//! flushed meanwhile. It gives the network back as soon as the loop waits again.
//!
//! The loop's thread does not have to say when it begins to run a script, which would cost it a system call for each
//! task. Instead this thread looks at a counter once a millisecond, as long as there is anything to see, and
//! sleeps for good when the loop has been waiting for a while.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::shared::Shared;

/// How often to look whether the loop's thread is away. A script that runs for longer than this, or at most twice this,
/// no longer holds up the network.
const TICK: Duration = Duration::from_millis(1);

/// After so many ticks in which the loop's thread just waited, sleep.
const QUIET_TICKS: u32 = 20;

/// The running thread.
pub(super) struct Standby {
    thread: JoinHandle<()>,
}

impl Standby {
    /// Starts the thread.
    pub(super) fn start(runtime: Arc<Runtime>, shared: Arc<Shared>) -> io::Result<Self> {
        let thread = thread::Builder::new()
            .name("we-net-standby".to_owned())
            .spawn({
                let shared = shared.clone();
                move || watch(&runtime, &shared)
            })?;
        shared.set_standby(thread.thread().clone());
        Ok(Self { thread })
    }

    /// Ends the thread and waits for it: a moment, as it runs no script.
    pub(super) fn stop(self, shared: &Shared) {
        shared.end_standby();
        if self.thread.join().is_err() {
            tracing::error!(target: "we::net", "the standby thread had panicked");
        }
    }
}

fn watch(runtime: &Runtime, shared: &Shared) {
    let mut last = shared.visits();
    let mut quiet_ticks = 0;
    while !shared.standby_ends() {
        thread::park_timeout(TICK);
        let visits = shared.visits();
        let unchanged = visits == last;
        last = visits;
        if !unchanged {
            quiet_ticks = 0;
        } else if visits.is_away() && shared.has_open_sockets() {
            drive(runtime, shared);
            last = shared.visits();
            quiet_ticks = 0;
        } else {
            quiet_ticks += 1;
            if quiet_ticks >= QUIET_TICKS {
                shared.sleep_standby();
                last = shared.visits();
                quiet_ticks = 0;
            }
        }
    }
}

/// Drives the network until the loop's thread is back.
fn drive(runtime: &Runtime, shared: &Shared) {
    shared.standby_takes_over();
    runtime.block_on(poll_fn(|cx| {
        // Commands of the script that went before the take-over; later ones wake their tasks themselves.
        shared.flush();
        shared.poll_relief(cx)
    }));
    shared.standby_hands_back();
}
