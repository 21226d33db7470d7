//! Each library doing a [`Case`] in the way that its documentation advises for speed, over [`Memory`]: batches where it
//! has them, buffers of its own between messages, payloads in the type that it copies least.
//!
//! [`Memory`]: crate::memory::Memory

mod fastwebsockets;
mod ours;
mod tokio_websockets;
mod tungstenite;
mod wtx;
mod yawc;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::case::Case;

/// Does a case with so many messages, and tells how long it took. Connections and their buffers stay from one call to
/// the next.
pub type Job = Box<dyn FnMut(u64) -> Duration>;

/// A library, or one of ways to use it.
pub struct Library {
    pub name: &'static str,
    /// `None` if the library cannot do this.
    pub job: fn(&Case) -> Option<Job>,
    /// Whether it is `we-net`.
    pub is_ours: bool,
}

/// All of them, ours first: the state machine on a loop of the caller's, and with the driver for tokio's streams.
pub const LIBRARIES: [Library; 7] = [
    ours("we", ours::connection),
    ours("we+tokio", ours::driver),
    peer("tungstenite", tungstenite::job),
    peer("fastws", fastwebsockets::job),
    peer("tokio-ws", tokio_websockets::job),
    peer("wtx", wtx::job),
    peer("yawc", yawc::job),
];

pub use ours::compressed_tape;

const fn ours(name: &'static str, job: fn(&Case) -> Option<Job>) -> Library {
    Library {
        name,
        job,
        is_ours: true,
    }
}

const fn peer(name: &'static str, job: fn(&Case) -> Option<Job>) -> Library {
    Library {
        is_ours: false,
        ..ours(name, job)
    }
}

/// How long this thread computes for it. What other programs do on the machine meanwhile is not counted.
pub(crate) fn clocked(work: impl FnOnce()) -> Duration {
    let start = thread_time();
    work();
    thread_time().saturating_sub(start)
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Sends `n` messages: makes some, starts the clock, sends them in turns.
pub(crate) fn in_turns<M>(
    case: &Case,
    n: u64,
    make: impl Fn() -> M,
    mut send_turn: impl FnMut(std::vec::Drain<'_, M>),
) -> Duration {
    let mut time = Duration::ZERO;
    let mut left = n;
    let mut messages = Vec::new();
    while left > 0 {
        let prepared = left.min(case.prepared());
        left -= prepared;
        messages.extend((0..prepared).map(|_| make()));
        time += clocked(|| {
            while !messages.is_empty() {
                let turn = messages.len().min(case.turn() as usize);
                send_turn(messages.drain(messages.len() - turn..));
            }
        });
    }
    time
}

/// Whether what was received is what was sent.
fn check_received(case: &Case, messages: u64, bytes: u64) {
    assert_eq!(bytes, messages * case.size() as u64, "{case}: lost data");
}

/// Whether whole frames were written, and as many as messages were sent.
fn check_written(case: &Case, messages: u64, bytes: u64) {
    if case.compressed {
        return assert!(bytes > 0, "{case}: nothing was written");
    }
    let expected = messages * case.frame_len() as u64;
    assert_eq!(bytes, expected, "{case}: wrote something else");
}
