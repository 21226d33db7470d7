//! `AbortSignal`: <https://dom.spec.whatwg.org/#interface-AbortSignal>
//!
//! Who keeps whom alive: a source signal refers weakly to the signals that depend on it, unless something
//! would notice their abortion, and weakly to the listeners that it is to remove. So a signal that lives as
//! long as the program does not gather the things that were once made with it.

use std::{cell::Cell, time::Duration};

use boa_engine::{
    Context, JsArgs, JsData, JsError, JsNativeError, JsResult, JsValue, js_string, object::JsObject,
};
use boa_gc::{Finalize, Gc, GcRefCell, Trace, WeakGc};

use super::AbortAlgorithm;
use crate::{
    binding::{
        self, Definition, IntegerConversion, Interface, This, WeakObject, sequence,
        unsigned_integer,
    },
    dom::{
        DomException, ErrorName, EventTarget, EventTargetObject, dispatch, event_handler,
        event_target::{self, Listener},
    },
    event_loop::LoopState,
};

/// The state of an `AbortSignal`.
#[derive(Default, Trace, Finalize, JsData)]
pub(crate) struct AbortSignal {
    /// The [abort reason](https://dom.spec.whatwg.org/#abortsignal-abort-reason), once there is one.
    reason: GcRefCell<Option<JsValue>>,
    /// The [abort algorithms](https://dom.spec.whatwg.org/#abortsignal-abort-algorithms).
    algorithms: GcRefCell<Purged<Algorithm>>,
    /// Whether this was made by `any()`: [dependent](https://dom.spec.whatwg.org/#abortsignal-dependent).
    #[unsafe_ignore_trace]
    dependent: Cell<bool>,
    /// The [source signals](https://dom.spec.whatwg.org/#abortsignal-source-signals).
    sources: GcRefCell<Vec<JsObject>>,
    /// The [dependent signals](https://dom.spec.whatwg.org/#abortsignal-dependent-signals).
    dependents: GcRefCell<Purged<WeakObject>>,
    /// Those dependent signals [that must not be collected][spec]: something listens to them.
    ///
    /// [spec]: https://dom.spec.whatwg.org/#abort-signal-garbage-collection
    observed_dependents: GcRefCell<Vec<JsObject>>,
    /// Whether this signal is among its sources' observed dependents.
    #[unsafe_ignore_trace]
    observed: Cell<bool>,
}

/// Steps to run when a signal is aborted.
#[derive(Trace, Finalize)]
enum Algorithm {
    /// [Add an event listener](https://dom.spec.whatwg.org/#add-an-event-listener) step 6.
    RemoveListener {
        target: WeakObject,
        listener: WeakGc<Listener>,
    },
    /// An algorithm of the platform.
    Run(AbortAlgorithm),
}

impl Algorithm {
    /// Whether there is still something to do.
    fn is_alive(&self) -> bool {
        match self {
            Self::RemoveListener { listener, .. } => listener.is_upgradable(),
            Self::Run(_) => true,
        }
    }
}

impl AbortSignal {
    /// A signal that is not aborted.
    pub(crate) fn create(context: &mut Context) -> JsResult<This<Self>> {
        binding::create(EventTargetObject::new(Self::default()), context)
    }

    /// [Aborted](https://dom.spec.whatwg.org/#abortsignal-aborted)
    pub(crate) fn is_aborted(&self) -> bool {
        self.reason.borrow().is_some()
    }

    fn reason(&self) -> Option<JsValue> {
        self.reason.borrow().clone()
    }

    /// The abort reason, undefined as long as there is none.
    pub(crate) fn reason_of(signal: &This<Self>) -> JsValue {
        signal.state().reason().unwrap_or_default()
    }

    pub(super) fn add_algorithm(&self, algorithm: AbortAlgorithm) {
        if self.is_aborted() {
            return;
        }
        self.algorithms
            .borrow_mut()
            .push(Algorithm::Run(algorithm), Algorithm::is_alive);
    }

    pub(super) fn remove_algorithm(&self, algorithm: &AbortAlgorithm) {
        self.algorithms
            .borrow_mut()
            .items
            .retain(|other| !matches!(other, Algorithm::Run(other) if other.is(algorithm)));
    }
}

/// Has `listener` removed from `target` when `signal` is aborted.
pub(crate) fn remove_listener_on_abort(
    signal: &This<AbortSignal>,
    target: &JsObject,
    listener: &Gc<Listener>,
    context: &mut Context,
) -> JsResult<()> {
    let target = WeakObject::new(target, context)?;
    let algorithm = Algorithm::RemoveListener {
        target,
        listener: WeakGc::new(listener),
    };
    // https://dom.spec.whatwg.org/#abortsignal-add
    if signal.state().is_aborted() {
        return Ok(());
    }
    signal
        .state()
        .algorithms
        .borrow_mut()
        .push(algorithm, Algorithm::is_alive);
    observe(signal);
    Ok(())
}

/// To be called when a listener was added to `target`: a dependent signal with listeners lives as long as
/// one of its sources.
pub(crate) fn keep_observed_signal(target: &JsObject) {
    if let Some(signal) = This::<AbortSignal>::from_object(target.clone()) {
        observe(&signal);
    }
}

pub(super) fn observe(signal: &This<AbortSignal>) {
    let state = signal.state();
    if state.is_aborted() || state.observed.replace(true) {
        return;
    }
    for source in sources(&state) {
        source
            .state()
            .observed_dependents
            .borrow_mut()
            .push(signal.object().clone());
    }
}

/// To be called when an algorithm was removed: a dependent signal that nothing observes any more is not kept.
pub(super) fn observed_less(signal: &This<AbortSignal>) {
    let has_listener = This::<EventTarget>::from_object(signal.object().clone())
        .is_some_and(|target| target.state().has_listener(&[js_string!("abort")]));
    let state = signal.state();
    if has_listener || !state.algorithms.borrow().items.is_empty() || !state.observed.take() {
        return;
    }
    drop(state);
    leave_observed(signal);
}

/// Takes a signal from the observed dependents of its sources.
fn leave_observed(signal: &This<AbortSignal>) {
    for source in sources(&signal.state()) {
        source
            .state()
            .observed_dependents
            .borrow_mut()
            .retain(|other| !JsObject::equals(other, signal.object()));
    }
}

fn sources(signal: &AbortSignal) -> Vec<This<AbortSignal>> {
    signal
        .sources
        .borrow()
        .iter()
        .cloned()
        .filter_map(This::from_object)
        .collect()
}

impl Interface for AbortSignal {
    const NAME: &'static str = "AbortSignal";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        root.kind()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()?;
        // https://dom.spec.whatwg.org/#dom-abortsignal-abort
        idl.static_operation("abort", 0, |args, context| {
            let signal = Self::create(context)?;
            let reason = reason_or_abort_error(args.get_or_undefined(0), context)?;
            *signal.state().reason.borrow_mut() = Some(reason);
            Ok(signal.object().clone())
        });
        idl.static_operation("timeout", 1, timeout);
        idl.static_operation("any", 1, any);

        idl.readonly("aborted", |this, _| Ok(this.state().is_aborted()));
        idl.readonly("reason", |this, _| {
            Ok(this.state().reason().unwrap_or_default())
        });
        idl.operation("throwIfAborted", 0, |this, _, _| {
            match this.state().reason() {
                Some(reason) => Err(JsError::from_opaque(reason)),
                None => Ok(JsValue::undefined()),
            }
        });
        event_handler::define(idl, "onabort");
        Ok(())
    }
}

/// <https://dom.spec.whatwg.org/#dom-abortsignal-timeout>
fn timeout(args: &[JsValue], context: &mut Context) -> JsResult<JsObject> {
    let milliseconds = unsigned_integer(
        args.get_or_undefined(0),
        64,
        IntegerConversion::EnforceRange,
        context,
    )?;
    // 1.
    let signal = AbortSignal::create(context)?;
    // 2., 3. The steps refer to the signal, as it may not be collected before they have run. A program that has nothing to
    // do but to wait for them is over, as elsewhere outside of browsers.
    let target = signal.clone();
    let delay = Duration::from_millis(milliseconds);
    LoopState::of(context)?.run_after_in_background(delay, move |context| {
        let aborted = DomException::object(ErrorName::Timeout, "the operation timed out", context)
            .and_then(|reason| signal_abort(&target, &reason.into(), context));
        if let Err(error) = aborted {
            tracing::debug!(target: "we::js", %error, "a timeout did not abort its signal");
        }
    });
    // 4.
    Ok(signal.object().clone())
}

/// <https://dom.spec.whatwg.org/#dom-abortsignal-any>
fn any(args: &[JsValue], context: &mut Context) -> JsResult<JsObject> {
    let not_signals = || {
        JsNativeError::typ()
            .with_message("AbortSignal.any: argument 1 is not a sequence of signals")
    };
    let signals = sequence(args.get_or_undefined(0), context, |value, _| {
        This::<AbortSignal>::from_value(&value).ok_or_else(|| not_signals().into())
    })?
    .ok_or_else(not_signals)?;
    Ok(dependent(signals, context)?.object().clone())
}

/// [Creates a dependent abort signal](https://dom.spec.whatwg.org/#create-a-dependent-abort-signal) from signals.
pub(crate) fn dependent(
    signals: Vec<This<AbortSignal>>,
    context: &mut Context,
) -> JsResult<This<AbortSignal>> {
    // 1.
    let result = AbortSignal::create(context)?;
    // 2.
    for signal in &signals {
        if let Some(reason) = signal.state().reason() {
            *result.state().reason.borrow_mut() = Some(reason);
            return Ok(result);
        }
    }
    // 3.
    result.state().dependent.set(true);
    // 4.
    for signal in signals {
        if signal.state().dependent.get() {
            for source in sources(&signal.state()) {
                depend(&result, &source, context)?;
            }
        } else {
            depend(&result, &signal, context)?;
        }
    }
    // 5.
    Ok(result)
}

/// Appends `source` to the source signals of `signal` and `signal` to the dependent signals of `source`.
fn depend(
    signal: &This<AbortSignal>,
    source: &This<AbortSignal>,
    context: &mut Context,
) -> JsResult<()> {
    {
        let state = signal.state();
        let mut sources = state.sources.borrow_mut();
        if sources
            .iter()
            .any(|other| JsObject::equals(other, source.object()))
        {
            return Ok(());
        }
        sources.push(source.object().clone());
    }
    let weak = WeakObject::new(signal.object(), context)?;
    // Looking at a weak reference is a call into the engine: nothing may be borrowed.
    let mut dependents = std::mem::take(&mut *source.state().dependents.borrow_mut());
    dependents.push(weak, |dependent| dependent.upgrade(context).is_some());
    *source.state().dependents.borrow_mut() = dependents;
    Ok(())
}

/// [Signal abort](https://dom.spec.whatwg.org/#abortsignal-signal-abort), for which undefined is no reason.
pub(crate) fn signal_abort(
    signal: &This<AbortSignal>,
    reason: &JsValue,
    context: &mut Context,
) -> JsResult<()> {
    // 1.
    if signal.state().is_aborted() {
        return Ok(());
    }
    // 2.
    let reason = reason_or_abort_error(reason, context)?;
    // Making the reason runs no script; were that ever to change, the first abort would still be the only one.
    if signal.state().is_aborted() {
        return Ok(());
    }
    *signal.state().reason.borrow_mut() = Some(reason.clone());
    // 3., 4.
    let mut to_abort = Vec::new();
    let dependents = std::mem::take(&mut *signal.state().dependents.borrow_mut());
    for dependent in &dependents.items {
        let dependent = dependent
            .upgrade(context)
            .and_then(This::<AbortSignal>::from_object);
        if let Some(dependent) = dependent
            && !dependent.state().is_aborted()
        {
            *dependent.state().reason.borrow_mut() = Some(reason.clone());
            to_abort.push(dependent);
        }
    }
    // All at once, rather than one by one below.
    signal.state().observed_dependents.borrow_mut().clear();
    // 5.
    run_abort_steps(signal, context)?;
    // 6.
    for dependent in to_abort {
        leave_sources(&dependent);
        run_abort_steps(&dependent, context)?;
    }
    Ok(())
}

/// What is aborted waits for no source any more.
fn leave_sources(signal: &This<AbortSignal>) {
    leave_observed(signal);
    signal.state().sources.borrow_mut().clear();
}

/// [Run the abort steps](https://dom.spec.whatwg.org/#run-the-abort-steps)
fn run_abort_steps(signal: &This<AbortSignal>, context: &mut Context) -> JsResult<()> {
    // 1., 2.
    let algorithms = std::mem::take(&mut *signal.state().algorithms.borrow_mut());
    for algorithm in &algorithms.items {
        match algorithm {
            Algorithm::RemoveListener { target, listener } => {
                let target = target
                    .upgrade(context)
                    .and_then(This::<EventTarget>::from_object);
                if let (Some(target), Some(listener)) = (target, listener.upgrade()) {
                    event_target::remove_listener(&target, &listener);
                }
            }
            Algorithm::Run(algorithm) => {
                algorithm.run(&AbortSignal::reason_of(signal), context)?;
            }
        }
    }
    // 3.
    if let Some(target) = This::<EventTarget>::from_object(signal.object().clone()) {
        dispatch::fire(&target, js_string!("abort"), context)?;
    }
    Ok(())
}

/// The reason that was given, or "a new 'AbortError' DOMException".
fn reason_or_abort_error(reason: &JsValue, context: &mut Context) -> JsResult<JsValue> {
    if reason.is_undefined() {
        return Ok(
            DomException::object(ErrorName::Abort, "the operation was aborted", context)?.into(),
        );
    }
    Ok(reason.clone())
}

/// What a signal has gathered.
#[cfg(test)]
pub(crate) fn gathered(signal: &This<AbortSignal>) -> usize {
    let state = signal.state();
    let weak = state.algorithms.borrow().items.len() + state.dependents.borrow().items.len();
    weak + state.observed_dependents.borrow().len()
}

/// A list of weak things that is rid of the dead ones each time that it has doubled.
#[derive(Trace, Finalize)]
struct Purged<T: Trace> {
    items: Vec<T>,
    purge_at: usize,
}

impl<T: Trace> Default for Purged<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            purge_at: 16,
        }
    }
}

impl<T: Trace> Purged<T> {
    fn push(&mut self, item: T, is_alive: impl FnMut(&T) -> bool) {
        if self.items.len() >= self.purge_at {
            self.items.retain(is_alive);
            self.purge_at = 16.max(self.items.len() * 2);
        }
        self.items.push(item);
    }
}
