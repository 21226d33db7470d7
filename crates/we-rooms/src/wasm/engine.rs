//! The engine of a module, and what makes its time pass.
//!
//! Compiled code looks at the engine's *epoch* at each turn of a loop and each call. A [`Ticker`] raises it every [`TICK`], and a guest that
//! sees it raised gives way to whatever else its thread has to do. So a guest that computes holds others up for no longer than a tick, and
//! ticks that it has run through are the measure of how long it has computed: while it waits, none are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::{Config, Engine};

/// How long a guest computes before it gives way.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// After so many ticks at which no guest was running, the ticker rests until one does: a server without work is to sleep.
const RESTS_AFTER: u32 = 100;

/// The stack of a guest, in bytes.
pub(super) const GUEST_STACK: usize = 512 << 10;

/// What functions of the host have beside it. (None recurses; it is address space until it is used.)
const HOST_STACK: usize = 512 << 10;

/// The engine of a module.
pub(super) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(GUEST_STACK + HOST_STACK)
        // What a service needs no more than: one memory of at most 4 GiB. The less there is the less can be wrong with it.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .concurrency_support(false);
    Engine::new(&config)
}

/// Raises an engine's epoch every [`TICK`], on a thread of its own, while a guest runs. It ends when it is dropped.
pub(super) struct Ticker {
    state: Arc<State>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// How many guests are in the middle of a call.
    running: AtomicUsize,
    rests: AtomicBool,
    ends: AtomicBool,
}

impl Ticker {
    pub(super) fn new(engine: Engine) -> std::io::Result<Self> {
        let state = Arc::<State>::default();
        let of_thread = state.clone();
        let thread = thread::Builder::new()
            .name("we wasm ticker".into())
            .spawn(move || tick(&engine, &of_thread))?;
        Ok(Self { state, thread })
    }

    /// A guest runs, until what is returned is dropped.
    pub(super) fn run(self: &Arc<Self>) -> Runs {
        self.state.running.fetch_add(1, SeqCst);
        if self.state.rests.load(SeqCst) {
            self.thread.thread().unpark();
        }
        Runs(self.clone())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.ends.store(true, SeqCst);
        self.thread.thread().unpark();
    }
}

pub(super) struct Runs(Arc<Ticker>);

impl Drop for Runs {
    fn drop(&mut self) {
        self.0.state.running.fetch_sub(1, SeqCst);
    }
}

fn tick(engine: &Engine, state: &State) {
    let mut idle = RESTS_AFTER;
    loop {
        if idle >= RESTS_AFTER {
            // Either we see here that a guest runs, or it sees that we rest.
            state.rests.store(true, SeqCst);
            while state.running.load(SeqCst) == 0 && !state.ends.load(SeqCst) {
                thread::park();
            }
            state.rests.store(false, SeqCst);
            idle = 0;
        }
        thread::sleep(TICK);
        if state.ends.load(SeqCst) {
            return;
        }
        engine.increment_epoch();
        if state.running.load(SeqCst) == 0 {
            idle += 1;
        } else {
            idle = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    fn wait_until(is_so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "it takes too long"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_ticker_rests_and_ends() -> Result<(), Box<dyn std::error::Error>> {
        let engine = engine()?;
        let weak = engine.weak();
        let ticker = Arc::new(Ticker::new(engine)?);
        let rests = || ticker.state.rests.load(SeqCst);
        wait_until(rests);
        let runs = ticker.run();
        wait_until(|| !rests());
        drop(runs);
        wait_until(rests);
        // The thread has the last reference.
        assert!(weak.upgrade().is_some());
        drop(ticker);
        wait_until(|| weak.upgrade().is_none());
        Ok(())
    }
}
