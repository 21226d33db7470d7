//! Timers: <https://html.spec.whatwg.org/#timers>.
//!
//! [`Timers`] holds steps that are due at some time, for `setTimeout`, for jobs of the engine and for natives.
//! On it stand the [timer initialisation steps](https://html.spec.whatwg.org/#timer-initialisation-steps), with the
//! ids that scripts see and the nesting levels that slow down timers which set timers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::{Duration, Instant};

use boa_engine::object::builtins::JsFunction;
use boa_engine::{Context, JsString, JsValue, Script, Source};

use super::LoopState;
use super::async_jobs::Lifetime;
use super::tasks::Steps;

/// Timers that set timers more deeply than this wait for at least [`NESTED_MINIMUM`] (step 5).
const NESTING_LIMIT: u32 = 5;

/// The least delay of a deeply nested timer, in milliseconds (step 5).
const NESTED_MINIMUM: i32 = 4;

/// A century: what an engine's job may ask for can be more than a clock can tell.
const LONGEST_DELAY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Names one pending timer, and orders timers: by due time, then by age. This is the order that
/// [run steps after a timeout](https://html.spec.whatwg.org/#run-steps-after-a-timeout) asks for.
///
/// It is also the "unique handle" of the timer initialisation steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerKey {
    due: Instant,
    sequence: u64,
}

/// All pending timers of a loop.
#[derive(Default)]
pub(super) struct Timers {
    queue: RefCell<BTreeMap<TimerKey, Timer>>,
    /// How many of them keep the loop running.
    keeping: Cell<usize>,
    next_sequence: Cell<u64>,

    /// The [map of setTimeout and setInterval IDs](https://html.spec.whatwg.org/#map-of-settimeout-and-setinterval-ids).
    ids: RefCell<HashMap<i32, TimerKey>>,
    last_id: Cell<i32>,

    /// The timer nesting level of the task that is running; 0 if it is not a timer's.
    nesting_level: Cell<u32>,
}

struct Timer {
    steps: Steps,
    lifetime: Lifetime,
}

/// The timers that one turn of the loop runs: those that were due when it began. A timer that such a timer sets for
/// at once belongs to the next turn, so that the others get theirs.
#[derive(Debug, Clone, Copy)]
pub(super) struct DueBatch {
    now: Instant,
    next_sequence: u64,
}

impl Timers {
    /// Makes the key of a timer that is due after `delay`.
    fn key_after(&self, delay: Duration) -> TimerKey {
        let sequence = self.next_sequence.get();
        self.next_sequence.set(sequence + 1);
        TimerKey {
            due: Instant::now() + delay.min(LONGEST_DELAY),
            sequence,
        }
    }

    pub(super) fn set(&self, delay: Duration, lifetime: Lifetime, steps: Steps) -> TimerKey {
        let key = self.key_after(delay);
        self.insert(key, lifetime, steps);
        key
    }

    fn insert(&self, key: TimerKey, lifetime: Lifetime, steps: Steps) {
        if lifetime == Lifetime::KeepsLoopAlive {
            self.keeping.set(self.keeping.get() + 1);
        }
        let timer = Timer { steps, lifetime };
        self.queue.borrow_mut().insert(key, timer);
    }

    fn remove(&self, key: TimerKey) -> Option<Steps> {
        let Timer { steps, lifetime } = self.queue.borrow_mut().remove(&key)?;
        if lifetime == Lifetime::KeepsLoopAlive {
            self.keeping.set(self.keeping.get() - 1);
        }
        Some(steps)
    }

    pub(super) fn cancel(&self, key: TimerKey) {
        let canceled = self.remove(key);
        // Dropped outside the borrow: what the steps own may cancel further timers as it goes.
        drop(canceled);
    }

    pub(super) fn clear(&self) {
        self.ids.take();
        self.keeping.set(0);
        let canceled = self.queue.take();
        drop(canceled);
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.queue.borrow().keys().next().map(|key| key.due)
    }

    pub(super) fn any_due(&self) -> bool {
        self.next_due().is_some_and(|due| due <= Instant::now())
    }

    /// Whether there is a timer for which the loop has to run on.
    pub(super) fn keep_loop_alive(&self) -> bool {
        self.keeping.get() > 0
    }

    pub(super) fn due_batch(&self, now: Instant) -> DueBatch {
        DueBatch {
            now,
            next_sequence: self.next_sequence.get(),
        }
    }

    /// Takes the next timer of a batch.
    pub(super) fn pop_due(&self, batch: DueBatch) -> Option<Steps> {
        let key = self
            .queue
            .borrow()
            .keys()
            .take_while(|key| key.due <= batch.now)
            .find(|key| key.sequence < batch.next_sequence)
            .copied()?;
        self.remove(key)
    }

    /// Called when a task has ended: what runs next is not nested in a timer, until it says so.
    pub(super) fn leave_task(&self) {
        self.nesting_level.set(0);
    }

    /// An id greater than zero that is not in use.
    fn unused_id(&self) -> i32 {
        let ids = self.ids.borrow();
        let mut id = self.last_id.get();
        loop {
            id = id.checked_add(1).unwrap_or(1);
            if !ids.contains_key(&id) {
                self.last_id.set(id);
                return id;
            }
        }
    }
}

/// What a script asked a timer to do: WebIDL's `TimerHandler`.
#[derive(Clone)]
pub(super) enum Handler {
    Function(JsFunction),
    /// Source text of a classic script.
    Source(JsString),
}

/// Whether a timer runs once or until it is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Once,
    UntilCleared,
}

/// The arguments of the timer initialisation steps.
#[derive(Clone)]
pub(super) struct ScriptTimer {
    pub(super) handler: Handler,
    pub(super) arguments: Vec<JsValue>,
    /// Milliseconds, as converted to WebIDL's `long`.
    pub(super) timeout: i32,
    pub(super) repeat: Repeat,
}

impl LoopState {
    /// The [timer initialisation steps](https://html.spec.whatwg.org/#timer-initialisation-steps). Returns the
    /// timer's id. `previous_id` is given when an interval sets itself again.
    pub(super) fn initialise_timer(
        self: &Rc<Self>,
        timer: ScriptTimer,
        previous_id: Option<i32>,
    ) -> i32 {
        // Step 2.
        let id = previous_id.unwrap_or_else(|| self.timers.unused_id());
        // Step 3.
        let nesting_level = self.timers.nesting_level.get();
        // Steps 4 and 5.
        let mut timeout = timer.timeout.max(0);
        if nesting_level > NESTING_LIMIT {
            timeout = timeout.max(NESTED_MINIMUM);
        }
        // Steps 8, 13 and 14: the unique handle comes first, as the task must know it.
        let delay = Duration::from_millis(timeout.unsigned_abs().into());
        let handle = self.timers.key_after(delay);
        // Step 9: the task. Steps 10 and 11: its nesting level.
        let state = self.clone();
        let task_level = nesting_level.saturating_add(1);
        let task = move |context: &mut Context| {
            state.timers.nesting_level.set(task_level);
            state.run_script_timer(timer, id, handle, context);
        };
        self.timers
            .insert(handle, Lifetime::KeepsLoopAlive, Box::new(task));
        self.timers.ids.borrow_mut().insert(id, handle);
        // Step 15.
        id
    }

    /// The task of step 9.
    fn run_script_timer(
        self: &Rc<Self>,
        timer: ScriptTimer,
        id: i32,
        handle: TimerKey,
        context: &mut Context,
    ) {
        // Steps 9.2 and 9.3.
        if !self.is_current_timer(id, handle) {
            return;
        }
        match &timer.handler {
            // Step 9.5: invoke the function with the global object as this value, and report its exception.
            Handler::Function(function) => {
                let global = context.global_object().into();
                self.invoke(function, &global, &timer.arguments, context);
            }
            // Step 9.6: create and run a classic script.
            Handler::Source(source) => {
                let source = source.to_vec();
                let result = self.run_callback(context, |context| {
                    Script::parse(Source::from_utf16(&source), None, context)
                        .and_then(|script| script.evaluate(context))
                });
                if let Err(error) = result {
                    self.report_exception(error, context);
                }
            }
        }
        // Steps 9.7 and 9.8: the handler may have cleared its own timer.
        if !self.is_current_timer(id, handle) {
            return;
        }
        match timer.repeat {
            // Step 9.9.
            Repeat::UntilCleared => {
                self.initialise_timer(timer, Some(id));
            }
            // Step 9.10.
            Repeat::Once => {
                self.timers.ids.borrow_mut().remove(&id);
            }
        }
    }

    fn is_current_timer(&self, id: i32, handle: TimerKey) -> bool {
        self.timers.ids.borrow().get(&id) == Some(&handle)
    }

    /// `clearTimeout` and `clearInterval`, which share their ids: <https://html.spec.whatwg.org/#dom-cleartimeout>.
    pub(super) fn clear_timer(&self, id: i32) {
        let handle = self.timers.ids.borrow_mut().remove(&id);
        if let Some(handle) = handle {
            self.timers.cancel(handle);
        }
    }
}
