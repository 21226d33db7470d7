//! Standard output and standard error, written on a thread of its own, so that whoever does not read them holds up no
//! pings and no Ctrl-C, and in the order in which things were said.
//!
//! What waits to be written is bounded: who prints waits, and so does not receive meanwhile.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::Notify;

/// With so many bytes waiting, who prints has to wait.
const ROOM: usize = 64 << 10;

/// Where something is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Stdout,
    Stderr,
}

/// Hands what is printed to the thread that writes it.
pub(super) struct Printer {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// For the thread: there is something to write, or the end.
    work: Condvar,
    /// For those who print: something about `state` is different.
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: Vec<(To, Vec<u8>)>,
    /// The bytes in `waiting`.
    len: usize,
    /// Nothing more will be printed.
    ended: bool,
    /// All has been written.
    done: bool,
    /// Why stdout cannot be written to.
    failure: Option<io::ErrorKind>,
}

impl Printer {
    pub(super) fn start() -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || of_thread.write(&mut io::stdout().lock(), &mut io::stderr()))?;
        Ok(Self { shared })
    }

    /// Prints, when there is room for more. What is meant for an stdout that has failed is dropped.
    pub(super) async fn print(&self, to: To, mut bytes: Vec<u8>) {
        self.when(|state| {
            if state.len >= ROOM {
                return None;
            }
            if to == To::Stderr || state.failure.is_none() {
                state.len += bytes.len();
                match state.waiting.last_mut() {
                    Some((last, waiting)) if *last == to => waiting.append(&mut bytes),
                    _ => state.waiting.push((to, mem::take(&mut bytes))),
                }
                self.shared.work.notify_one();
            }
            Some(())
        })
        .await;
    }

    /// Waits until stdout cannot be written to.
    pub(super) async fn failure(&self) -> io::ErrorKind {
        self.when(|state| state.failure).await
    }

    /// Waits until all has been written, or cannot be. Returns why stdout could not be written to.
    pub(super) async fn finish(&self) -> Option<io::ErrorKind> {
        self.shared.lock().ended = true;
        self.shared.work.notify_one();
        self.when(|state| state.done.then_some(state.failure)).await
    }

    /// Waits until `look` finds what it looks for.
    async fn when<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // Made before the look: a change in between is not missed.
            let changed = self.shared.changed.notified();
            if let Some(found) = look(&mut self.shared.lock()) {
                return found;
            }
            changed.await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: writes until the end.
    fn write(&self, stdout: &mut impl Write, stderr: &mut impl Write) {
        loop {
            let mut state = self.lock();
            while state.waiting.is_empty() && !state.ended {
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.done = state.waiting.is_empty();
            let (done, waiting) = (state.done, mem::take(&mut state.waiting));
            state.len = 0;
            drop(state);
            self.changed.notify_waiters();
            if done {
                return;
            }
            for (to, bytes) in waiting {
                match to {
                    To::Stdout => self.write_out(stdout, &bytes),
                    // Where that cannot be written to there is nobody to tell.
                    To::Stderr => drop(stderr.write_all(&bytes)),
                }
            }
        }
    }

    fn write_out(&self, stdout: &mut impl Write, bytes: &[u8]) {
        if self.lock().failure.is_some() {
            return;
        }
        if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            self.lock().failure = Some(error.kind());
            self.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::{
        future::Future,
        pin::pin,
        sync::mpsc,
        task::{Context, Poll, Waker},
        time::Duration,
    };

    /// Takes a write when it is told to, with the result that it is told.
    struct Slow {
        turns: mpsc::Receiver<io::Result<()>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turns.recv().unwrap()?;
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Slowly {
        printer: Printer,
        turns: mpsc::Sender<io::Result<()>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    fn slowly() -> Slowly {
        let shared = Arc::<Shared>::default();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let (turns, receiver) = mpsc::channel();
        let mut stdout = Slow {
            turns: receiver,
            written: Arc::clone(&written),
        };
        // Both to one place, so that their order can be seen.
        let mut stderr = Also(Arc::clone(&written));
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || of_thread.write(&mut stdout, &mut stderr));
        Slowly {
            printer: Printer { shared },
            turns,
            written,
        }
    }

    struct Also(Arc<Mutex<Vec<u8>>>);

    impl Write for Also {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn soon<T>(future: impl Future<Output = T>) -> T {
        let in_time = tokio::time::timeout(Duration::from_secs(60), future).await;
        in_time.unwrap()
    }

    #[tokio::test]
    async fn who_prints_waits_for_who_reads() {
        let Slowly {
            printer,
            turns,
            written,
        } = slowly();
        // What the thread has in its hands no longer waits, so it may take two.
        let mut printed = 0;
        let blocked = loop {
            let mut print = Box::pin(printer.print(To::Stdout, vec![b'x'; ROOM]));
            match print.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(()) => printed += 1,
                // It may be on its way to take the first.
                Poll::Pending if printed == 1 => {
                    soon(print).await;
                    printed += 1;
                }
                Poll::Pending => break print,
            }
        };
        assert_eq!(printed, 2);
        for _ in 0..3 {
            turns.send(Ok(())).unwrap();
        }
        soon(blocked).await;
        assert_eq!(soon(printer.finish()).await, None);
        assert_eq!(written.lock().unwrap().len(), 3 * ROOM);
    }

    #[tokio::test]
    async fn what_was_said_first_is_written_first() {
        let Slowly {
            printer,
            turns,
            written,
        } = slowly();
        for (to, text) in [
            (To::Stdout, "a"),
            (To::Stdout, "b"),
            (To::Stderr, "c"),
            (To::Stdout, "d"),
        ] {
            soon(printer.print(to, text.into())).await;
            turns.send(Ok(())).unwrap();
        }
        assert_eq!(soon(printer.finish()).await, None);
        assert_eq!(*written.lock().unwrap(), b"abcd");
    }

    #[tokio::test]
    async fn a_failure_is_told_without_further_printing() {
        let Slowly {
            printer,
            turns,
            written,
        } = slowly();
        let mut failure = pin!(printer.failure());
        let mut context = Context::from_waker(Waker::noop());
        assert!(failure.as_mut().poll(&mut context).is_pending());
        // What waits already is not tried either: nobody gives a turn for it.
        for (to, text) in [(To::Stdout, "a"), (To::Stderr, "b"), (To::Stdout, "c")] {
            soon(printer.print(to, text.into())).await;
        }
        turns.send(Err(io::ErrorKind::BrokenPipe.into())).unwrap();
        assert_eq!(soon(failure).await, io::ErrorKind::BrokenPipe);
        soon(printer.print(To::Stdout, b"d".to_vec())).await;
        soon(printer.print(To::Stderr, b"e".to_vec())).await;
        assert_eq!(
            soon(printer.finish()).await,
            Some(io::ErrorKind::BrokenPipe)
        );
        assert_eq!(*written.lock().unwrap(), b"be");
    }
}
