//! Tasks and their queue: <https://html.spec.whatwg.org/#event-loops>.
//!
//! The standard lets a loop coalesce task sources into one queue. This loop has one queue, so tasks of all sources run
//! in the order in which they were queued; only timers and socket events wait elsewhere, each in its own order.

use std::cell::RefCell;
use std::collections::VecDeque;

use boa_engine::Context;

/// Steps that run on the loop's thread.
pub(crate) type Steps = Box<dyn FnOnce(&mut Context)>;

/// Where a task comes from: <https://html.spec.whatwg.org/#task-source>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskSource {
    /// Features that react to changes of the platform's objects, such as unhandled rejections.
    DomManipulation,
    /// `setTimeout` and `setInterval`.
    Timer,
    /// Events of `WebSocket` objects.
    WebSocket,
    /// Events of `EventSource` objects.
    RemoteEvent,
    /// Features that answer to network activity, such as module loading.
    Networking,
    /// Reading the bytes of a `Blob`.
    FileReading,
    /// Messages between agents.
    PostedMessage,
    /// Jobs of the JavaScript engine itself: finalization, `Atomics.waitAsync`, asynchronous natives.
    JavaScriptEngine,
    /// Tasks of the embedding program.
    Embedder,
}

/// A unit of work of the loop; a microtask checkpoint follows each.
pub(super) struct Task {
    pub(super) source: TaskSource,
    pub(super) steps: Steps,
}

/// Tasks in the order in which they were queued.
#[derive(Default)]
pub(super) struct TaskQueue(RefCell<VecDeque<Task>>);

impl TaskQueue {
    pub(super) fn push(&self, source: TaskSource, steps: Steps) {
        self.0.borrow_mut().push_back(Task { source, steps });
    }

    pub(super) fn pop(&self) -> Option<Task> {
        self.0.borrow_mut().pop_front()
    }

    pub(super) fn clear(&self) {
        self.0.take();
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}
