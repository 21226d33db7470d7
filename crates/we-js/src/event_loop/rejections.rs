//! Unhandled promise rejections: <https://html.spec.whatwg.org/#unhandled-promise-rejections>.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use boa_engine::builtins::promise::{OperationType, PromiseState};
use boa_engine::object::builtins::{JsPromise, JsWeakSet};
use boa_engine::{Context, JsObject, JsResult, JsValue};

use super::LoopState;
use super::tasks::TaskSource;

/// Rejected promises on their way to an `unhandledrejection` event and beyond.
///
/// The engine does not tell whether a promise is handled (`[[PromiseIsHandled]]`), but it calls
/// [`LoopState::track_rejection`] once when a rejected promise becomes handled. A promise that is in one of these
/// lists is therefore unhandled, and one that has left them is not.
#[derive(Default)]
pub(super) struct Rejections {
    /// The [about-to-be-notified rejected promises list](https://html.spec.whatwg.org/#about-to-be-notified-rejected-promises-list).
    about_to_be_notified: RefCell<Vec<JsObject>>,

    /// The lists that queued tasks will go through, one after the other, each promise with the number of its list.
    being_notified: RefCell<VecDeque<(u64, JsObject)>>,

    /// The promises of both lists that have not been withdrawn from them.
    listed: RefCell<HashSet<JsObject>>,
    next_list: Cell<u64>,

    /// The [outstanding rejected promises weak set](https://html.spec.whatwg.org/#outstanding-rejected-promises-weak-set),
    /// made when first needed.
    outstanding: RefCell<Option<JsWeakSet>>,

    /// Whether promises that are being rejected count as handled.
    untracked: Cell<bool>,
}

impl Rejections {
    pub(super) fn clear(&self) {
        self.about_to_be_notified.take();
        self.being_notified.take();
        self.listed.take();
        self.outstanding.take();
    }

    /// Takes a promise out of the lists of those that no event has been fired for. Returns whether it was there.
    fn withdraw(&self, promise: &JsObject) -> bool {
        self.listed.borrow_mut().remove(promise)
    }

    /// The next promise of a list. It counts as listed until it is [finished](Self::finish).
    fn next_of(&self, list: u64) -> Option<JsObject> {
        let mut being = self.being_notified.borrow_mut();
        let listed = self.listed.borrow();
        while let Some((number, promise)) = being.front() {
            if *number != list {
                return None;
            }
            if listed.contains(promise) {
                return Some(promise.clone());
            }
            being.pop_front();
        }
        None
    }

    /// Takes the promise at the front of the lists out. Returns whether it had not been withdrawn.
    fn finish(&self, promise: &JsObject) -> bool {
        let mut being = self.being_notified.borrow_mut();
        if being.front().is_some_and(|(_, front)| front == promise) {
            being.pop_front();
        }
        self.listed.borrow_mut().remove(promise)
    }

    fn add_outstanding(&self, promise: &JsObject, context: &mut Context) -> JsResult<()> {
        let mut outstanding = self.outstanding.borrow_mut();
        outstanding
            .get_or_insert_with(|| JsWeakSet::new(context))
            .add(promise, context)?;
        Ok(())
    }

    /// Returns whether the promise was in the set.
    fn remove_outstanding(&self, promise: &JsObject, context: &mut Context) -> JsResult<bool> {
        match &*self.outstanding.borrow() {
            Some(outstanding) => outstanding.delete(promise, context),
            None => Ok(false),
        }
    }
}

impl LoopState {
    /// Rejects a promise whose `[[PromiseIsHandled]]` a standard sets, which the engine does not offer. Must not run
    /// script.
    pub(crate) fn untracked<R>(&self, reject: impl FnOnce() -> R) -> R {
        let before = self.rejections.untracked.replace(true);
        let result = reject();
        self.rejections.untracked.set(before);
        result
    }

    /// [`HostPromiseRejectionTracker`](https://html.spec.whatwg.org/#the-hostpromiserejectiontracker-implementation).
    pub(super) fn track_rejection(
        self: &Rc<Self>,
        promise: JsObject,
        operation: OperationType,
        context: &mut Context,
    ) {
        match operation {
            // Step 6.
            OperationType::Reject => {
                if self.rejections.untracked.get() {
                    return;
                }
                self.rejections.listed.borrow_mut().insert(promise.clone());
                self.rejections
                    .about_to_be_notified
                    .borrow_mut()
                    .push(promise);
            }
            // Step 7.
            OperationType::Handle => {
                if self.rejections.withdraw(&promise) {
                    return;
                }
                match self.rejections.remove_outstanding(&promise, context) {
                    Ok(false) => {}
                    Ok(true) => {
                        let state = self.clone();
                        self.queue_task(TaskSource::DomManipulation, move |context| {
                            let reason = rejection_reason(&promise);
                            state
                                .host
                                .fire_rejection_handled(&promise, &reason, context);
                        });
                    }
                    Err(error) => self.report_exception(error, context),
                }
            }
        }
    }

    /// [Notify about rejected promises](https://html.spec.whatwg.org/#notify-about-rejected-promises).
    pub(super) fn notify_about_rejected_promises(self: &Rc<Self>) {
        // Steps 1 to 3.
        let mut about = self.rejections.about_to_be_notified.borrow_mut();
        if about.is_empty() {
            return;
        }
        let list = self.rejections.next_list.get();
        self.rejections.next_list.set(list + 1);
        self.rejections
            .being_notified
            .borrow_mut()
            .extend(about.drain(..).map(|promise| (list, promise)));
        // Step 4.
        let state = self.clone();
        self.queue_task(TaskSource::DomManipulation, move |context| {
            // Step 4.1: promises that have been handled meanwhile are no longer in the list.
            while let Some(promise) = state.rejections.next_of(list) {
                // Steps 4.1.2 and 4.1.3.
                let reason = rejection_reason(&promise);
                state
                    .host
                    .fire_unhandled_rejection(&promise, &reason, context);
                // Step 4.1.4.
                if state.rejections.finish(&promise)
                    && let Err(error) = state.rejections.add_outstanding(&promise, context)
                {
                    state.report_exception(error, context);
                }
            }
        });
    }
}

/// A rejected promise's `[[PromiseResult]]`.
fn rejection_reason(promise: &JsObject) -> JsValue {
    match JsPromise::from_object(promise.clone()).map(|promise| promise.state()) {
        Ok(PromiseState::Rejected(reason)) => reason,
        _ => JsValue::undefined(),
    }
}
