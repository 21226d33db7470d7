//! Algorithms of the platform that an aborted signal runs: <https://dom.spec.whatwg.org/#abortsignal-add>

use boa_engine::{Context, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Gc, Trace};

use super::{AbortSignal, signal};
use crate::binding::This;

/// Steps that run, once at most, when a signal is aborted. Clones are the same algorithm.
#[derive(Clone, Trace, Finalize)]
pub(crate) struct AbortAlgorithm(Gc<Box<dyn Run>>);

/// What an algorithm does with the reason.
type Steps<T> = fn(&T, &JsValue, &mut Context) -> JsResult<()>;

trait Run: Trace {
    fn run(&self, reason: &JsValue, context: &mut Context) -> JsResult<()>;
}

#[derive(Trace, Finalize)]
struct Capturing<T: Trace> {
    captures: T,
    #[unsafe_ignore_trace]
    steps: Steps<T>,
}

impl<T: Trace> Run for Capturing<T> {
    fn run(&self, reason: &JsValue, context: &mut Context) -> JsResult<()> {
        (self.steps)(&self.captures, reason, context)
    }
}

impl AbortAlgorithm {
    pub(crate) fn new<T: Trace + 'static>(captures: T, steps: Steps<T>) -> Self {
        Self(Gc::new(Box::new(Capturing { captures, steps })))
    }

    pub(crate) fn run(&self, reason: &JsValue, context: &mut Context) -> JsResult<()> {
        self.0.run(reason, context)
    }

    /// [Adds](https://dom.spec.whatwg.org/#abortsignal-add) the algorithm to a signal, unless that is aborted.
    pub(crate) fn add_to(&self, signal: &This<AbortSignal>) {
        signal.state().add_algorithm(self.clone());
        signal::observe(signal);
    }

    /// The same for who keeps the signal himself for as long as he wants to be told: what a dependent signal depends on
    /// does not keep it.
    pub(crate) fn add_to_kept(&self, signal: &This<AbortSignal>) {
        signal.state().add_algorithm(self.clone());
    }

    /// [Removes](https://dom.spec.whatwg.org/#abortsignal-remove) the algorithm from a signal.
    pub(crate) fn remove_from(&self, signal: &JsObject) {
        if let Some(signal) = This::<AbortSignal>::from_object(signal.clone()) {
            signal.state().remove_algorithm(self);
            signal::observed_less(&signal);
        }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Gc::ptr_eq(&self.0, &other.0)
    }
}
