//! What the server says of its instances, on standard error. That may be a pipe that nobody reads for a while, and that instances have
//! filled: so a thread of its own writes there, and the server never waits for it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

/// How many lines may wait to be written; further ones are left out.
const MAX_WAITING: usize = 1024;

static LEFT_OUT: AtomicUsize = AtomicUsize::new(0);

/// Writes a line, some time.
pub(super) fn say(line: String) {
    static WRITER: OnceLock<Option<SyncSender<String>>> = OnceLock::new();
    let writer = WRITER.get_or_init(|| {
        let (sender, lines) = sync_channel(MAX_WAITING);
        let write = move || {
            for line in lines {
                crate::say(line);
                match LEFT_OUT.swap(0, Ordering::Relaxed) {
                    0 => {}
                    count => crate::say(format_args!("we: {count} lines were left out here")),
                }
            }
        };
        let thread = thread::Builder::new().name("log".to_owned()).spawn(write);
        thread.ok().map(|_| sender)
    });
    match writer {
        None => crate::say(line),
        Some(writer) => {
            if let Err(TrySendError::Full(_)) = writer.try_send(line) {
                LEFT_OUT.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
