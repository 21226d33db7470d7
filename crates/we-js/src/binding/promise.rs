//! Promises as the standards' algorithms use them: <https://webidl.spec.whatwg.org/#js-promise-manipulation>
//!
//! Most promises of an algorithm are never seen by a script. A [`Promise`] is native: it has no object of the engine
//! until a script asks for one, reactions to it are Rust functions, and neither `Promise.prototype.then` nor a
//! `constructor` that a script has patched is looked up on the way. Reactions run as microtasks, in the order and at
//! the time at which reactions to a promise of the language would.

use std::cell::Cell;

use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsResult, JsValue, NativeFunction,
    builtins::promise::ResolvingFunctions,
    js_string,
    object::{
        FunctionObjectBuilder, JsObject,
        builtins::{JsFunction, JsPromise},
    },
};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use crate::event_loop;
use crate::event_loop::LoopState;

/// What a promise was settled with: the value or the reason.
pub(crate) type Outcome = Result<JsValue, JsValue>;

/// A promise of the platform. Clones are the same promise.
#[derive(Clone, Trace, Finalize)]
pub(crate) struct Promise(Gc<GcRefCell<Inner>>);

#[derive(Trace, Finalize)]
struct Inner {
    state: State,
    /// Resolved, though perhaps with a thenable that is still pending.
    resolved: bool,
    /// `[[PromiseIsHandled]]`, as far as the algorithms of the platform set it.
    handled: bool,
    /// The script's promise, once there is one.
    object: Option<JsPromise>,
    /// What settles the script's promise, until it is settled.
    resolvers: Option<ResolvingFunctions>,
}

#[derive(Trace, Finalize)]
enum State {
    Pending(Vec<Box<dyn Reaction>>),
    Fulfilled(JsValue),
    Rejected(JsValue),
}

/// A reaction: steps and what they captured, which the collector must see.
trait Reaction: Trace {
    fn run(&self, outcome: Outcome, context: &mut Context) -> JsResult<()>;
}

/// Steps that react to a promise.
pub(crate) type Steps<T> = fn(&T, Outcome, &mut Context) -> JsResult<()>;

#[derive(Trace, Finalize)]
struct Reacting<T: Trace> {
    captures: T,
    #[unsafe_ignore_trace]
    steps: Steps<T>,
}

impl<T: Trace> Reaction for Reacting<T> {
    fn run(&self, outcome: Outcome, context: &mut Context) -> JsResult<()> {
        (self.steps)(&self.captures, outcome, context)
    }
}

/// What a [`Promise::then`] resolves its result with.
pub(crate) enum Next {
    Value(JsValue),
    Promise(Promise),
}

/// Steps whose result is that of a new promise; an error that they return rejects it.
pub(crate) type Transform<T> = fn(&T, Outcome, &mut Context) -> JsResult<Next>;

#[derive(Trace, Finalize)]
struct Transforming<T: Trace> {
    captures: T,
    result: Promise,
    #[unsafe_ignore_trace]
    steps: Transform<T>,
}

impl<T: Trace> Reaction for Transforming<T> {
    fn run(&self, outcome: Outcome, context: &mut Context) -> JsResult<()> {
        match (self.steps)(&self.captures, outcome, context) {
            Ok(Next::Value(value)) => self.result.resolve(value, context),
            Ok(Next::Promise(promise)) => self.result.resolve_with(&promise, context),
            Err(error) => self.result.reject_with(error, context),
        }
    }
}

impl Promise {
    /// A new promise: <https://webidl.spec.whatwg.org/#a-new-promise>
    pub(crate) fn new() -> Self {
        Self::in_state(State::Pending(Vec::new()))
    }

    /// A promise that is fulfilled with undefined.
    pub(crate) fn fulfilled() -> Self {
        Self::in_state(State::Fulfilled(JsValue::undefined()))
    }

    /// A promise rejected with a reason: <https://webidl.spec.whatwg.org/#a-promise-rejected-with>
    pub(crate) fn rejected(reason: JsValue) -> Self {
        Self::in_state(State::Rejected(reason))
    }

    /// A promise resolved with a value: <https://webidl.spec.whatwg.org/#a-promise-resolved-with>. If the value is an
    /// object with a `then`, that decides.
    pub(crate) fn resolved_with(value: JsValue, context: &mut Context) -> JsResult<Self> {
        let promise = Self::new();
        promise.resolve(value, context)?;
        Ok(promise)
    }

    /// The promise of a callback whose IDL return type is a promise: what it returned, or what it threw.
    ///
    /// <https://webidl.spec.whatwg.org/#invoke-a-callback-function> step 13
    pub(crate) fn of_completion(
        result: JsResult<JsValue>,
        context: &mut Context,
    ) -> JsResult<Self> {
        match result {
            Ok(value) => Self::resolved_with(value, context),
            Err(error) => Ok(Self::rejected(thrown(error, context)?)),
        }
    }

    /// A promise to wait for all of them: <https://webidl.spec.whatwg.org/#waiting-for-all-promise>
    pub(crate) fn all(promises: Vec<Self>, context: &mut Context) -> JsResult<Self> {
        let result = Self::new();
        if promises.is_empty() {
            return Ok(Self::fulfilled());
        }
        let left = Gc::new(Cell::new(promises.len()));
        for promise in promises {
            promise.react(
                (result.clone(), left.clone()),
                |(result, left), outcome, context| match outcome {
                    Ok(_) => {
                        left.set(left.get().saturating_sub(1));
                        if left.get() == 0 {
                            result.resolve(JsValue::undefined(), context)?;
                        }
                        Ok(())
                    }
                    Err(reason) => result.reject(reason, context),
                },
                context,
            )?;
        }
        Ok(result)
    }

    fn in_state(state: State) -> Self {
        let resolved = !matches!(state, State::Pending(_));
        Self(Gc::new(GcRefCell::new(Inner {
            state,
            resolved,
            handled: false,
            object: None,
            resolvers: None,
        })))
    }

    /// Whether neither a value nor a reason is known.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.0.borrow().state, State::Pending(_))
    }

    /// Whether a script has been given it, and may wait for it.
    pub(crate) fn is_shown(&self) -> bool {
        self.0.borrow().object.is_some()
    }

    /// Sets `[[PromiseIsHandled]]` to true. To be called before the promise is rejected.
    pub(crate) fn mark_as_handled(&self) {
        self.0.borrow_mut().handled = true;
    }

    /// Resolves the promise: <https://webidl.spec.whatwg.org/#resolve>. It has no effect on a resolved one.
    pub(crate) fn resolve(&self, value: JsValue, context: &mut Context) -> JsResult<()> {
        let has_object = {
            let mut inner = self.0.borrow_mut();
            if std::mem::replace(&mut inner.resolved, true) {
                return Ok(());
            }
            inner.object.is_some()
        };
        // The script's promise looks for a `then` itself. The platform does not react to such a promise's value.
        if has_object {
            return self.settle(Ok(value), context);
        }
        self.resolve_unlocked(value, context)
    }

    /// Rejects the promise: <https://webidl.spec.whatwg.org/#reject>. It has no effect on a resolved one.
    pub(crate) fn reject(&self, reason: JsValue, context: &mut Context) -> JsResult<()> {
        if std::mem::replace(&mut self.0.borrow_mut().resolved, true) {
            return Ok(());
        }
        self.settle(Err(reason), context)
    }

    /// Rejects the promise with what was thrown.
    pub(crate) fn reject_with(&self, error: JsError, context: &mut Context) -> JsResult<()> {
        let reason = thrown(error, context)?;
        self.reject(reason, context)
    }

    /// Resolves the promise with another one, whose outcome it takes over.
    pub(crate) fn resolve_with(&self, other: &Self, context: &mut Context) -> JsResult<()> {
        if std::mem::replace(&mut self.0.borrow_mut().resolved, true) {
            return Ok(());
        }
        // A promise of the language takes a microtask to look at the other, and another to hear from it.
        let (this, other) = (self.clone(), other.clone());
        LoopState::of(context)?.queue_microtask(move |context| {
            other.react(
                this,
                |this, outcome, context| this.settle(outcome, context),
                context,
            )
        });
        Ok(())
    }

    /// [Reacts](https://webidl.spec.whatwg.org/#react) to the promise: runs the steps when it is settled.
    pub(crate) fn react<T: Trace + 'static>(
        &self,
        captures: T,
        steps: Steps<T>,
        context: &mut Context,
    ) -> JsResult<()> {
        self.add(Box::new(Reacting { captures, steps }), context)
    }

    /// The same, for the promise of what the steps return.
    pub(crate) fn then<T: Trace + 'static>(
        &self,
        captures: T,
        steps: Transform<T>,
        context: &mut Context,
    ) -> JsResult<Self> {
        let result = Self::new();
        let reaction = Transforming {
            captures,
            result: result.clone(),
            steps,
        };
        self.add(Box::new(reaction), context)?;
        Ok(result)
    }

    /// The promise that a script sees, the same each time.
    pub(crate) fn object(&self, context: &mut Context) -> JsResult<JsPromise> {
        if let Some(object) = &self.0.borrow().object {
            return Ok(object.clone());
        }
        let (object, resolvers) = JsPromise::new_pending(context);
        let outcome = {
            let mut inner = self.0.borrow_mut();
            inner.object = Some(object.clone());
            match &inner.state {
                State::Pending(_) => None,
                State::Fulfilled(value) => Some(Ok(value.clone())),
                State::Rejected(reason) => Some(Err(reason.clone())),
            }
        };
        match outcome {
            Some(outcome) => self.settle_object(&resolvers, outcome, context)?,
            None => self.0.borrow_mut().resolvers = Some(resolvers),
        }
        Ok(object)
    }

    fn add(&self, reaction: Box<dyn Reaction>, context: &mut Context) -> JsResult<()> {
        let outcome = {
            let mut inner = self.0.borrow_mut();
            inner.handled = true;
            match &mut inner.state {
                State::Pending(reactions) => {
                    reactions.push(reaction);
                    return Ok(());
                }
                State::Fulfilled(value) => Ok(value.clone()),
                State::Rejected(reason) => Err(reason.clone()),
            }
        };
        queue(reaction, outcome, context)
    }

    /// <https://tc39.es/ecma262/#sec-promise-resolve-functions> steps 7 to 16
    fn resolve_unlocked(&self, value: JsValue, context: &mut Context) -> JsResult<()> {
        let Some(object) = value.as_object() else {
            return self.settle(Ok(value), context);
        };
        let then = match object.get(js_string!("then"), context) {
            Ok(then) => then,
            Err(error) => {
                let reason = thrown(error, context)?;
                return self.settle(Err(reason), context);
            }
        };
        let Some(then) = then.as_callable() else {
            return self.settle(Ok(value), context);
        };
        // https://tc39.es/ecma262/#sec-newpromiseresolvethenablejob
        let this = self.clone();
        LoopState::of(context)?.queue_microtask(move |context| {
            let called = Gc::new(Cell::new(false));
            let resolve = this.resolving_function(
                &called,
                |this, value, context| this.resolve_unlocked(value, context),
                context,
            );
            let reject = this.resolving_function(
                &called,
                |this, reason, context| this.settle(Err(reason), context),
                context,
            );
            match event_loop::call(&then, &value, &[resolve.into(), reject.into()], context) {
                Err(error) if !called.replace(true) => {
                    let reason = thrown(error, context)?;
                    this.settle(Err(reason), context)
                }
                _ => Ok(()),
            }
        });
        Ok(())
    }

    /// One of a thenable's two functions, of which the first to be called counts.
    fn resolving_function(
        &self,
        called: &Gc<Cell<bool>>,
        steps: fn(&Self, JsValue, &mut Context) -> JsResult<()>,
        context: &Context,
    ) -> JsFunction {
        let native = NativeFunction::from_copy_closure_with_captures(
            move |_, args, (this, called), context| {
                if !called.replace(true) {
                    steps(this, args.get_or_undefined(0).clone(), context)?;
                }
                Ok(JsValue::undefined())
            },
            (self.clone(), called.clone()),
        );
        FunctionObjectBuilder::new(context.realm(), native)
            .length(1)
            .constructor(false)
            .build()
    }

    fn settle(&self, outcome: Outcome, context: &mut Context) -> JsResult<()> {
        let (reactions, resolvers) = {
            let mut inner = self.0.borrow_mut();
            let state = match &outcome {
                Ok(value) => State::Fulfilled(value.clone()),
                Err(reason) => State::Rejected(reason.clone()),
            };
            let State::Pending(reactions) = &mut inner.state else {
                return Ok(());
            };
            let reactions = std::mem::take(reactions);
            inner.state = state;
            (reactions, inner.resolvers.take())
        };
        for reaction in reactions {
            queue(reaction, outcome.clone(), context)?;
        }
        match resolvers {
            Some(resolvers) => self.settle_object(&resolvers, outcome, context),
            None => Ok(()),
        }
    }

    fn settle_object(
        &self,
        resolvers: &ResolvingFunctions,
        outcome: Outcome,
        context: &mut Context,
    ) -> JsResult<()> {
        let undefined = JsValue::undefined();
        match outcome {
            Ok(value) => resolvers.resolve.call(&undefined, &[value], context)?,
            Err(reason) if self.0.borrow().handled => LoopState::of(context)?
                .untracked(|| resolvers.reject.call(&undefined, &[reason], context))?,
            Err(reason) => resolvers.reject.call(&undefined, &[reason], context)?,
        };
        Ok(())
    }

    /// Whether both are the same promise.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Gc::ptr_eq(&self.0, &other.0)
    }
}

fn queue(reaction: Box<dyn Reaction>, outcome: Outcome, context: &Context) -> JsResult<()> {
    LoopState::of(context)?.queue_microtask(move |context| reaction.run(outcome, context));
    Ok(())
}

/// The value of an exception. An error of the engine itself, such as a limit that was reached, is none and goes on.
pub(crate) fn thrown(error: JsError, context: &mut Context) -> JsResult<JsValue> {
    error.into_opaque(context)
}

/// A new TypeError, as a value.
pub(crate) fn type_error(message: &'static str, context: &mut Context) -> JsValue {
    let error: JsObject = JsNativeError::typ()
        .with_message(message)
        .into_opaque(context);
    error.into()
}
