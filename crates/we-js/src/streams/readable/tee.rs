//! Teeing: <https://streams.spec.whatwg.org/#abstract-opdef-readablestreamdefaulttee>

use boa_engine::{Context, JsResult, JsValue, object::builtins::JsArray};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{
    DefaultController, ReadableStream, UnderlyingSource,
    reader::{ReadRequest, Reader},
};
use crate::{
    binding::{Promise, thrown},
    event_loop::LoopState,
    streams::strategy::Strategy,
    structured_clone::{deserialize, serialize},
};

/// A tee. Clones are the same one.
#[derive(Clone, Trace, Finalize)]
struct Tee(Gc<GcRefCell<State>>);

#[derive(Trace, Finalize)]
struct State {
    stream: ReadableStream,
    reader: Reader,
    reading: bool,
    read_again: bool,
    /// The reason of each branch that was canceled.
    canceled: [Option<JsValue>; 2],
    branches: Vec<DefaultController>,
    cancel_promise: Promise,
    clones_for_second: bool,
}

/// One of the two branches, as the source of its stream.
#[derive(Trace, Finalize)]
struct Branch {
    tee: Tee,
    index: usize,
}

impl UnderlyingSource for Branch {
    fn pull(&self, _: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        self.tee.pull(context)?;
        Ok(Promise::fulfilled())
    }

    fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        self.tee.cancel(self.index, reason, context)
    }
}

/// Both branches of `stream`, which is locked from now on. The second may be given structured clones of the chunks.
pub(super) fn tee(
    stream: &ReadableStream,
    clones_for_second: bool,
    context: &mut Context,
) -> JsResult<[ReadableStream; 2]> {
    let reader = Reader::acquire(stream, context)?;
    let tee = Tee(Gc::new(GcRefCell::new(State {
        stream: stream.clone(),
        reader: reader.clone(),
        reading: false,
        read_again: false,
        canceled: [None, None],
        branches: Vec::new(),
        cancel_promise: Promise::new(),
        clones_for_second,
    })));
    let start = Promise::fulfilled();
    let mut branch = |index| {
        let source = Branch {
            tee: tee.clone(),
            index,
        };
        ReadableStream::new(source, &start, Strategy::count(1.0), context)
    };
    let (branch1, controller1) = branch(0)?;
    let (branch2, controller2) = branch(1)?;
    tee.0.borrow_mut().branches = vec![controller1, controller2];
    reader.closed().react(
        tee,
        |tee, outcome, context| {
            let Err(reason) = outcome else { return Ok(()) };
            let (branches, all_canceled) = tee.branches();
            for branch in branches {
                branch.error(reason.clone(), context)?;
            }
            tee.settle_cancel(all_canceled, context)
        },
        context,
    )?;
    Ok([branch1, branch2])
}

impl Tee {
    fn branches(&self) -> (Vec<DefaultController>, bool) {
        let state = self.0.borrow();
        (
            state.branches.clone(),
            state.canceled.iter().all(Option::is_some),
        )
    }

    /// The branches that have not been canceled.
    fn open_branches(&self) -> Vec<DefaultController> {
        let state = self.0.borrow();
        let branches = state.branches.iter().zip(&state.canceled);
        branches
            .filter(|(_, canceled)| canceled.is_none())
            .map(|(branch, _)| branch.clone())
            .collect()
    }

    fn is_canceled(&self, index: usize) -> bool {
        let state = self.0.borrow();
        state.canceled.get(index).is_some_and(Option::is_some)
    }

    /// The second branch's chunk; `None` if it could not be cloned, and the tee has failed.
    fn second_chunk(&self, chunk: &JsValue, context: &mut Context) -> JsResult<Option<JsValue>> {
        if !self.0.borrow().clones_for_second || self.is_canceled(1) {
            return Ok(Some(chunk.clone()));
        }
        let clone = serialize(chunk, &[], context).and_then(|it| deserialize(it, context));
        let error = match clone {
            Ok(clone) => return Ok(Some(clone.value)),
            Err(error) => thrown(error, context)?,
        };
        let (branches, _) = self.branches();
        for branch in branches {
            branch.error(error.clone(), context)?;
        }
        let (stream, promise) = {
            let state = self.0.borrow();
            (state.stream.clone(), state.cancel_promise.clone())
        };
        let canceled = stream.cancel(error, context)?;
        promise.resolve_with(&canceled, context)?;
        Ok(None)
    }

    fn settle_cancel(&self, all_canceled: bool, context: &mut Context) -> JsResult<()> {
        if all_canceled {
            return Ok(());
        }
        let promise = self.0.borrow().cancel_promise.clone();
        promise.resolve(JsValue::undefined(), context)
    }

    /// The pull algorithm of both branches.
    fn pull(&self, context: &mut Context) -> JsResult<()> {
        let reader = {
            let mut state = self.0.borrow_mut();
            if state.reading {
                state.read_again = true;
                return Ok(());
            }
            state.reading = true;
            state.reader.clone()
        };
        reader.read(Box::new(TeeRequest(self.clone())), context)
    }

    /// The cancel algorithm of a branch.
    fn cancel(&self, index: usize, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        let (promise, stream, reasons) = {
            let mut state = self.0.borrow_mut();
            if let Some(canceled) = state.canceled.get_mut(index) {
                *canceled = Some(reason);
            }
            let reasons: Option<Vec<JsValue>> = state.canceled.iter().cloned().collect();
            (state.cancel_promise.clone(), state.stream.clone(), reasons)
        };
        if let Some(reasons) = reasons {
            let reason = JsArray::from_iter(reasons, context);
            let result = stream.cancel(reason.into(), context)?;
            promise.resolve_with(&result, context)?;
        }
        Ok(promise)
    }
}

#[derive(Trace, Finalize)]
struct TeeRequest(Tee);

impl ReadRequest for TeeRequest {
    fn chunk(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        // An error of the stream is heard of a microtask later. It must not be overtaken by chunks.
        let tee = self.0.clone();
        LoopState::of(context)?.queue_microtask(move |context| {
            tee.0.borrow_mut().read_again = false;
            let Some(second) = tee.second_chunk(&chunk, context)? else {
                return Ok(());
            };
            let (branches, _) = tee.branches();
            for (index, (branch, chunk)) in branches.iter().zip([chunk, second]).enumerate() {
                if !tee.is_canceled(index) {
                    branch.enqueue(chunk, context)?;
                }
            }
            let again = {
                let mut state = tee.0.borrow_mut();
                state.reading = false;
                state.read_again
            };
            if again {
                tee.pull(context)?;
            }
            Ok(())
        });
        Ok(())
    }

    fn close(&self, _: JsValue, context: &mut Context) -> JsResult<()> {
        self.0.0.borrow_mut().reading = false;
        for branch in self.0.open_branches() {
            branch.close(context)?;
        }
        let (_, all_canceled) = self.0.branches();
        self.0.settle_cancel(all_canceled, context)
    }

    fn error(&self, _: JsValue, _: &mut Context) -> JsResult<()> {
        self.0.0.borrow_mut().reading = false;
        Ok(())
    }
}
