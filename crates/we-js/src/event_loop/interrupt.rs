//! [`Interrupt`]: stopping an agent's script from another thread.
//!
//! The engine has no such means, but it looks at its [`RuntimeLimits`] at every turn of a loop and at every call, and
//! a limit that is passed cannot be caught by the script. So a script is stopped by setting all its limits to zero while
//! it runs. A native that neither loops in script nor calls one (matching a regular expression, sorting numbers) runs to
//! its end first.
//!
//! # Soundness
//!
//! This is the one place of the crate where a thread writes what another thread reads without a lock, and the language
//! does not bless it: the engine reads the limits by plain loads, through a `&mut Context` that it believes to be alone.
//! The module relies on the following, which the tests below and those of workers exercise in both profiles:
//!
//! - The address is good. It is used only while [`while_armed`](Interrupt::while_armed) runs, which holds the context by a
//!   mutable reference, so that it is neither moved nor dropped; the lock is held while it is written to, so that
//!   `while_armed` does not return in between.
//! - No value is torn or invalid. The limits are four integers of the size of a word without padding (asserted below),
//!   each is written by an atomic store of its size and alignment, and zero is a valid value of each whatever the order
//!   of the fields.
//! - The engine sees the write. It reads the limit in the handler of each loop instruction, a function called through a
//!   table once per instruction; no compiler can keep it in a register from one to the next.
//! - A stale read does no harm: the next instruction reads again. Nothing else is ordered by these stores.
//! - Nothing puts other limits in their place. No native of this crate swaps the `Context` behind its reference or sets its
//!   limits while script runs; an embedder's natives must not do so either, since what they set would undo a termination
//!   that had come just before.
#![allow(unsafe_code)]

use std::mem::{align_of, size_of};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use boa_engine::Context;
use boa_engine::vm::RuntimeLimits;
use tokio::sync::Notify;

/// How many integers the limits are.
const WORDS: usize = 4;
const _: () = assert!(
    size_of::<RuntimeLimits>() == WORDS * size_of::<usize>()
        && align_of::<RuntimeLimits>() == align_of::<usize>(),
    "the engine's limits have changed, or this machine's words are not 64 bits: see the head of this module"
);

/// The switch that stops an agent's scripts for good.
#[derive(Default)]
pub(crate) struct Interrupt {
    terminated: AtomicBool,
    /// Wakes who waits for [`terminated`](Self::terminated).
    notice: Notify,
    limits: Mutex<Limits>,
}

/// The limits of the context whose scripts run now.
#[derive(Default, Clone, Copy)]
struct Limits(Option<NonNull<RuntimeLimits>>);

// SAFETY: the pointer is only written through, atomically, and only while it is known to be good: see the head.
unsafe impl Send for Limits {}

impl Limits {
    fn zero(self) {
        let Some(limits) = self.0 else { return };
        let words = limits.cast::<AtomicUsize>();
        for index in 0..WORDS {
            // SAFETY: within the four words of the limits, aligned as they are; `AtomicUsize` has the layout of `usize`.
            unsafe { words.add(index).as_ref() }.store(0, Ordering::Relaxed);
        }
    }
}

impl Interrupt {
    /// Stops the script that runs, if one does, and every later one before its first call.
    pub(crate) fn terminate(&self) {
        let limits = self.lock();
        self.terminated.store(true, Ordering::SeqCst);
        limits.zero();
        drop(limits);
        self.notice.notify_one();
    }

    /// Ready when [`terminate`](Self::terminate) was called. Only one task at a time may wait for it.
    pub(crate) async fn terminated(&self) {
        while !self.is_terminated() {
            self.notice.notified().await;
        }
    }

    /// Whether [`terminate`](Self::terminate) was called.
    pub(crate) fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::SeqCst)
    }

    /// Runs scripts of `context` so that they can be stopped. May be nested.
    pub(crate) fn while_armed<R>(
        &self,
        context: &mut Context,
        run: impl FnOnce(&mut Context) -> R,
    ) -> R {
        let limits = Limits(Some(NonNull::from(context.runtime_limits_mut())));
        let outer = {
            let mut armed = self.lock();
            if self.is_terminated() {
                limits.zero();
            }
            std::mem::replace(&mut *armed, limits)
        };
        // Also when `run` panics.
        let _disarm = Disarm {
            interrupt: self,
            outer,
        };
        run(context)
    }

    /// Nothing panics while the lock is held, so a poisoned one is still good.
    fn lock(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Disarm<'a> {
    interrupt: &'a Interrupt,
    outer: Limits,
}

impl Drop for Disarm<'_> {
    fn drop(&mut self) {
        *self.interrupt.lock() = self.outer;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;

    use boa_engine::{JsValue, NativeFunction, Source, js_string};

    use super::*;

    /// Runs a script that never ends by itself and calls `started()` once it is under way; stops it from outside.
    fn stops(script: &str) {
        let interrupt = Arc::new(Interrupt::default());
        let (started, wait) = mpsc::channel();
        let stopper = thread::spawn({
            let interrupt = interrupt.clone();
            move || {
                wait.recv().unwrap();
                interrupt.terminate();
            }
        });
        let mut context = Context::default();
        // SAFETY: the closure captures nothing of the engine's.
        let native = unsafe {
            NativeFunction::from_closure(move |_, _, _| {
                // Only the first call has a listener.
                let _ = started.send(());
                Ok(JsValue::undefined())
            })
        };
        context
            .register_global_callable(js_string!("started"), 0, native)
            .unwrap();
        let result = interrupt.while_armed(&mut context, |context| {
            context.eval(Source::from_bytes(script))
        });
        assert!(
            result.unwrap_err().as_engine().is_some(),
            "{script}: the script could catch it"
        );
        stopper.join().unwrap();
    }

    #[test]
    fn endless_scripts_are_stopped_and_cannot_catch_it() {
        stops("started(); for (;;) {}");
        stops("started(); let i = 0; do { i++ } while (true)");
        stops("started(); for (;;) { try { for (;;) {} } catch {} finally { continue } }");
        stops("const f = () => { started(); g() }, g = () => {}; for (;;) f()");
        stops(
            "started(); const again = () => Promise.resolve().then(again); for (;;) [1, 2, 3].forEach(() => {})",
        );
        stops("started(); function* all() { for (;;) yield 1 } for (const x of all()) {}");
        stops(
            "started(); Array.from({ [Symbol.iterator]: () => ({ next: () => ({ done: false }) }) })",
        );
    }

    #[test]
    fn what_was_terminated_before_does_not_start() {
        let interrupt = Interrupt::default();
        interrupt.terminate();
        let mut context = Context::default();
        let script = "let n = 0; for (;;) n++";
        let result = interrupt.while_armed(&mut context, |context| {
            context.eval(Source::from_bytes(script))
        });
        assert!(result.unwrap_err().as_engine().is_some());
    }

    #[test]
    fn nothing_is_written_once_the_context_is_disarmed() {
        let interrupt = Interrupt::default();
        let mut context = Context::default();
        interrupt.while_armed(&mut context, |context| {
            interrupt.while_armed(context, |_| ());
        });
        interrupt.terminate();
        let sum = context.eval(Source::from_bytes(
            "let n = 0; for (let i = 0; i < 9; i++) n += i; n",
        ));
        assert_eq!(sum.unwrap().as_number(), Some(36.0));
    }
}
