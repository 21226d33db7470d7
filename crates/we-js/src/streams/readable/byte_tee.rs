//! Teeing of byte streams: <https://streams.spec.whatwg.org/#abstract-opdef-readablebytestreamtee>

use boa_engine::{Context, JsResult, JsValue, object::builtins::JsArray};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{
    ReadableStream, UnderlyingSource,
    byte_controller::ByteController,
    reader::{ReadRequest, Reader},
    view::{self, View, ViewKind},
};
use crate::{
    binding::{Promise, thrown},
    event_loop::LoopState,
};

/// A tee. Clones are the same one.
#[derive(Clone, Trace, Finalize)]
struct Tee(Gc<GcRefCell<State>>);

#[derive(Trace, Finalize)]
struct State {
    stream: ReadableStream,
    /// A reader of one kind or the other, as the branches ask for it.
    reader: Reader,
    reading: bool,
    read_again: [bool; 2],
    /// The reason of each branch that was canceled.
    canceled: [Option<JsValue>; 2],
    branches: Vec<ByteController>,
    cancel_promise: Promise,
}

/// One of the two branches, as the source of its stream.
#[derive(Trace, Finalize)]
struct Branch {
    tee: Tee,
    index: usize,
}

impl UnderlyingSource for Branch {
    fn pull(&self, _: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        self.tee.pull(self.index, context)?;
        Ok(Promise::fulfilled())
    }

    fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        self.tee.cancel(self.index, reason, context)
    }
}

/// Both branches of the byte stream `stream`, which is locked from now on.
pub(super) fn tee(stream: &ReadableStream, context: &mut Context) -> JsResult<[ReadableStream; 2]> {
    let reader = Reader::acquire(stream, context)?;
    let tee = Tee(Gc::new(GcRefCell::new(State {
        stream: stream.clone(),
        reader,
        reading: false,
        read_again: [false; 2],
        canceled: [None, None],
        branches: Vec::new(),
        cancel_promise: Promise::new(),
    })));
    let start = Promise::fulfilled();
    let mut branch = |index| {
        let source = Branch {
            tee: tee.clone(),
            index,
        };
        ReadableStream::new_bytes(source, &start, 0.0, context)
    };
    let (branch1, controller1) = branch(0)?;
    let (branch2, controller2) = branch(1)?;
    tee.0.borrow_mut().branches = vec![controller1, controller2];
    tee.forward_reader_error(context)?;
    Ok([branch1, branch2])
}

impl Tee {
    fn branch(&self, index: usize) -> Option<ByteController> {
        self.0.borrow().branches.get(index).cloned()
    }

    fn is_canceled(&self, index: usize) -> bool {
        let state = self.0.borrow();
        state.canceled.get(index).is_some_and(Option::is_some)
    }

    fn reader(&self) -> Reader {
        self.0.borrow().reader.clone()
    }

    fn settle_cancel(&self, context: &mut Context) -> JsResult<()> {
        if self.is_canceled(0) && self.is_canceled(1) {
            return Ok(());
        }
        let promise = self.0.borrow().cancel_promise.clone();
        promise.resolve(JsValue::undefined(), context)
    }

    fn forward_reader_error(&self, context: &mut Context) -> JsResult<()> {
        let reader = self.reader();
        reader.closed().react(
            (self.clone(), reader.clone()),
            |(tee, reader), outcome, context| {
                let Err(reason) = outcome else { return Ok(()) };
                // A reader that was released for one of the other kind.
                if !tee.reader().is(reader) {
                    return Ok(());
                }
                tee.error_branches(&reason, context)?;
                tee.settle_cancel(context)
            },
            context,
        )
    }

    fn error_branches(&self, reason: &JsValue, context: &mut Context) -> JsResult<()> {
        for branch in [self.branch(0), self.branch(1)].into_iter().flatten() {
            branch.error(reason.clone(), context)?;
        }
        Ok(())
    }

    /// The pull algorithm of a branch.
    fn pull(&self, index: usize, context: &mut Context) -> JsResult<()> {
        {
            let mut state = self.0.borrow_mut();
            if state.reading {
                if let Some(again) = state.read_again.get_mut(index) {
                    *again = true;
                }
                return Ok(());
            }
            state.reading = true;
        }
        let request = match self.branch(index) {
            Some(branch) => branch.byob_request(context)?,
            None => None,
        };
        match request.and_then(|request| request.view()) {
            None => {
                self.use_reader(false, context)?;
                let request = Box::new(TeeRequest(self.clone()));
                self.reader().read(request, context)
            }
            Some(view) => {
                self.use_reader(true, context)?;
                let view = View::from_value(&view.into(), context)?;
                let request = Box::new(TeeIntoRequest {
                    tee: self.clone(),
                    index,
                });
                self.reader().read_into(view, 1, request, context)
            }
        }
    }

    /// Exchanges the reader for one of the other kind, if need be.
    fn use_reader(&self, is_byob: bool, context: &mut Context) -> JsResult<()> {
        let reader = self.reader();
        if reader.is_byob() == is_byob {
            return Ok(());
        }
        reader.release(context)?;
        let stream = self.0.borrow().stream.clone();
        let reader = if is_byob {
            Reader::acquire_byob(&stream, context)?
        } else {
            Reader::acquire(&stream, context)?
        };
        self.0.borrow_mut().reader = reader;
        self.forward_reader_error(context)
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

    /// `CloneAsUint8Array(chunk)`, or `None` when it failed, and the tee with it.
    fn clone_chunk(&self, chunk: &View, context: &mut Context) -> JsResult<Option<View>> {
        match view::clone(&chunk.buffer, chunk.offset, chunk.length, context) {
            Ok(buffer) => Ok(Some(View {
                buffer,
                offset: 0,
                length: chunk.length,
                kind: ViewKind::UINT8_ARRAY,
            })),
            Err(error) => {
                let reason = thrown(error, context)?;
                self.error_branches(&reason, context)?;
                let (promise, stream) = {
                    let state = self.0.borrow();
                    (state.cancel_promise.clone(), state.stream.clone())
                };
                let result = stream.cancel(reason, context)?;
                promise.resolve_with(&result, context)?;
                Ok(None)
            }
        }
    }

    /// What follows when a chunk has been handed on.
    fn read_on(&self, context: &mut Context) -> JsResult<()> {
        let again = {
            let mut state = self.0.borrow_mut();
            state.reading = false;
            state.read_again.iter().position(|again| *again)
        };
        match again {
            Some(index) => self.pull(index, context),
            None => Ok(()),
        }
    }

    fn enqueue(&self, index: usize, chunk: &View, context: &mut Context) -> JsResult<()> {
        match self.branch(index) {
            Some(branch) if !self.is_canceled(index) => branch.enqueue(chunk, context),
            _ => Ok(()),
        }
    }

    fn close(&self, index: usize, context: &mut Context) -> JsResult<()> {
        match self.branch(index) {
            Some(branch) if !self.is_canceled(index) => branch.close(context),
            _ => Ok(()),
        }
    }

    /// Gives a buffer that still waits back to its reader.
    fn respond_nothing(&self, index: usize, context: &mut Context) -> JsResult<()> {
        match self.branch(index) {
            Some(branch) if branch.has_pending() => branch.respond(0, context),
            _ => Ok(()),
        }
    }
}

/// The read request of pullWithDefaultReader.
#[derive(Trace, Finalize)]
struct TeeRequest(Tee);

impl ReadRequest for TeeRequest {
    fn chunk(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        // An error of the stream is heard of a microtask later. It must not be overtaken by chunks.
        let tee = self.0.clone();
        LoopState::of(context)?.queue_microtask(move |context| {
            tee.0.borrow_mut().read_again = [false; 2];
            let chunk = View::from_value(&chunk, context)?;
            let mut second = chunk.clone();
            if !tee.is_canceled(0) && !tee.is_canceled(1) {
                match tee.clone_chunk(&chunk, context)? {
                    Some(clone) => second = clone,
                    None => return Ok(()),
                }
            }
            tee.enqueue(0, &chunk, context)?;
            tee.enqueue(1, &second, context)?;
            tee.read_on(context)
        });
        Ok(())
    }

    fn close(&self, _: JsValue, context: &mut Context) -> JsResult<()> {
        let tee = &self.0;
        tee.0.borrow_mut().reading = false;
        tee.close(0, context)?;
        tee.close(1, context)?;
        tee.respond_nothing(0, context)?;
        tee.respond_nothing(1, context)?;
        tee.settle_cancel(context)
    }

    fn error(&self, _: JsValue, _: &mut Context) -> JsResult<()> {
        self.0.0.borrow_mut().reading = false;
        Ok(())
    }
}

/// The read-into request of pullWithBYOBReader, for the branch `index`.
#[derive(Trace, Finalize)]
struct TeeIntoRequest {
    tee: Tee,
    index: usize,
}

impl TeeIntoRequest {
    fn respond(tee: &Tee, index: usize, chunk: &View, context: &mut Context) -> JsResult<()> {
        match tee.branch(index) {
            Some(branch) if !tee.is_canceled(index) => branch.respond_with_new_view(chunk, context),
            _ => Ok(()),
        }
    }
}

impl ReadRequest for TeeIntoRequest {
    fn chunk(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        let (tee, index) = (self.tee.clone(), self.index);
        LoopState::of(context)?.queue_microtask(move |context| {
            tee.0.borrow_mut().read_again = [false; 2];
            let other = 1 - index;
            let chunk = View::from_value(&chunk, context)?;
            if tee.is_canceled(other) {
                Self::respond(&tee, index, &chunk, context)?;
            } else {
                let Some(clone) = tee.clone_chunk(&chunk, context)? else {
                    return Ok(());
                };
                Self::respond(&tee, index, &chunk, context)?;
                tee.enqueue(other, &clone, context)?;
            }
            tee.read_on(context)
        });
        Ok(())
    }

    fn close(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        let (tee, index, other) = (&self.tee, self.index, 1 - self.index);
        tee.0.borrow_mut().reading = false;
        tee.close(index, context)?;
        tee.close(other, context)?;
        if chunk.is_object() {
            let chunk = View::from_value(&chunk, context)?;
            Self::respond(tee, index, &chunk, context)?;
            if !tee.is_canceled(other) {
                tee.respond_nothing(other, context)?;
            }
        }
        tee.settle_cancel(context)
    }

    fn error(&self, _: JsValue, _: &mut Context) -> JsResult<()> {
        self.tee.0.borrow_mut().reading = false;
        Ok(())
    }
}
