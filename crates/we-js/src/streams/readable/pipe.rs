//! Piping: <https://streams.spec.whatwg.org/#readable-stream-pipe-to>

use boa_engine::{Context, JsNativeError, JsResult, JsValue};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{
    ReadableStream, Status,
    reader::{ReadRequest, Reader},
};
use crate::{
    abort::{AbortAlgorithm, AbortSignal},
    binding::{Dictionary, Promise, This, type_error},
    event_loop::LoopState,
    streams::writable::{self, WritableStream, Writer},
};

/// The dictionary `StreamPipeOptions`: <https://streams.spec.whatwg.org/#dictdef-streampipeoptions>
#[derive(Default)]
pub(crate) struct PipeOptions {
    pub(crate) prevent_abort: bool,
    pub(crate) prevent_cancel: bool,
    pub(crate) prevent_close: bool,
    pub(crate) signal: Option<This<AbortSignal>>,
}

impl PipeOptions {
    pub(super) fn from_value(value: &JsValue, context: &mut Context) -> JsResult<Self> {
        let dictionary = Dictionary::new(value)?;
        let prevent_abort = dictionary.boolean("preventAbort", false, context)?;
        let prevent_cancel = dictionary.boolean("preventCancel", false, context)?;
        let prevent_close = dictionary.boolean("preventClose", false, context)?;
        let signal = dictionary.get("signal", context)?;
        let signal = signal
            .map(|signal| {
                This::from_value(&signal).ok_or_else(|| {
                    JsNativeError::typ().with_message("'signal' is not an AbortSignal")
                })
            })
            .transpose()?;
        Ok(Self {
            prevent_abort,
            prevent_cancel,
            prevent_close,
            signal,
        })
    }
}

/// A pipe at work. Clones are the same one.
#[derive(Clone, Trace, Finalize)]
struct Pipe(Gc<Parts>);

#[derive(Trace, Finalize)]
struct Parts {
    source: ReadableStream,
    dest: WritableStream,
    reader: Reader,
    writer: Writer,
    prevent_abort: bool,
    prevent_cancel: bool,
    prevent_close: bool,
    promise: Promise,
    state: GcRefCell<State>,
}

#[derive(Trace, Finalize)]
struct State {
    /// What the pipe ends with, once it does.
    shutdown: Option<Shutdown>,
    /// Settled when the last chunk that was read has been written.
    last_write: Promise,
    abort: Option<AbortAlgorithm>,
}

#[derive(Clone, Trace, Finalize)]
struct Shutdown {
    action: Action,
    error: Option<JsValue>,
}

#[derive(Clone, Trace, Finalize)]
enum Action {
    None,
    AbortDest(JsValue),
    CancelSource(JsValue),
    CloseDest,
    /// What an aborted signal asks for.
    AbortBoth(JsValue),
}

/// Pipes `source`, which is not locked, to `dest`, which is not locked either.
pub(in super::super) fn pipe_to(
    source: &ReadableStream,
    dest: &WritableStream,
    options: &PipeOptions,
    context: &mut Context,
) -> JsResult<Promise> {
    let promise = Promise::new();
    let pipe = Pipe(Gc::new(Parts {
        source: source.clone(),
        dest: dest.clone(),
        reader: Reader::acquire(source, context)?,
        writer: Writer::acquire(dest, context)?,
        prevent_abort: options.prevent_abort,
        prevent_cancel: options.prevent_cancel,
        prevent_close: options.prevent_close,
        promise: promise.clone(),
        state: GcRefCell::new(State {
            shutdown: None,
            last_write: Promise::fulfilled(),
            abort: None,
        }),
    }));
    source.set_disturbed();
    if let Some(signal) = &options.signal {
        let algorithm = AbortAlgorithm::new(pipe.clone(), |pipe, reason, context| {
            pipe.shutdown(
                Action::AbortBoth(reason.clone()),
                Some(reason.clone()),
                context,
            )
        });
        if signal.state().is_aborted() {
            algorithm.run(&AbortSignal::reason_of(signal), context)?;
            return Ok(promise);
        }
        pipe.0.state.borrow_mut().abort = Some(algorithm.clone());
        algorithm.add_to(signal);
        let signal = signal.object().clone();
        promise.react(
            (signal, algorithm),
            |(signal, algorithm), _, _| {
                algorithm.remove_from(signal);
                Ok(())
            },
            context,
        )?;
    }
    pipe.run(context)?;
    Ok(promise)
}

impl Pipe {
    fn run(&self, context: &mut Context) -> JsResult<()> {
        let parts = &*self.0;
        // Errors must be propagated forward.
        if parts.source.status() == Status::Errored {
            self.source_errored(parts.source.stored_error(), context)?;
        }
        // Errors must be propagated backward.
        if parts.dest.status() == writable::Status::Errored {
            self.dest_errored(parts.dest.stored_error(), context)?;
        }
        // Closing must be propagated forward.
        if parts.source.status() == Status::Closed {
            self.source_closed(context)?;
        }
        // Closing must be propagated backward.
        if parts.dest.close_queued_or_in_flight() || parts.dest.status() == writable::Status::Closed
        {
            let error = type_error("the destination of the pipe is closed", context);
            let action = if parts.prevent_cancel {
                Action::None
            } else {
                Action::CancelSource(error.clone())
            };
            self.shutdown(action, Some(error), context)?;
        }
        // The same for what is to come.
        parts.reader.closed().react(
            self.clone(),
            |pipe, outcome, context| match outcome {
                Ok(_) => pipe.source_closed(context),
                Err(error) => pipe.source_errored(error, context),
            },
            context,
        )?;
        parts.writer.closed().react(
            self.clone(),
            |pipe, outcome, context| match outcome {
                Ok(_) => Ok(()),
                Err(error) => pipe.dest_errored(error, context),
            },
            context,
        )?;
        // The first chunk is asked for at once, as browsers do: a source that has not started yet sees one pull, not two.
        if !self.0.writer.ready().is_pending() && !self.is_shutting_down() {
            return self.read_if_wanted(context);
        }
        self.step(context)
    }

    fn source_errored(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        let action = if self.0.prevent_abort {
            Action::None
        } else {
            Action::AbortDest(error.clone())
        };
        self.shutdown(action, Some(error), context)
    }

    fn dest_errored(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        let action = if self.0.prevent_cancel {
            Action::None
        } else {
            Action::CancelSource(error.clone())
        };
        self.shutdown(action, Some(error), context)
    }

    fn source_closed(&self, context: &mut Context) -> JsResult<()> {
        let action = if self.0.prevent_close {
            Action::None
        } else {
            Action::CloseDest
        };
        self.shutdown(action, None, context)
    }

    /// Waits until the destination wants a chunk, then reads one.
    fn step(&self, context: &mut Context) -> JsResult<()> {
        if self.is_shutting_down() {
            return Ok(());
        }
        self.0.writer.ready().react(
            self.clone(),
            |pipe, outcome, context| {
                // A destination that fails is heard of by its writer's closed promise.
                if outcome.is_err() || pipe.is_shutting_down() {
                    return Ok(());
                }
                pipe.read_if_wanted(context)
            },
            context,
        )
    }

    fn read_if_wanted(&self, context: &mut Context) -> JsResult<()> {
        match self.0.dest.desired_size() {
            Some(size) if size > 0.0 => {
                let request = Box::new(PipeRequest(self.clone()));
                self.0.reader.read(request, context)
            }
            Some(_) => self.step(context),
            None => Ok(()),
        }
    }

    fn is_shutting_down(&self) -> bool {
        self.0.state.borrow().shutdown.is_some()
    }

    /// Both forms of "shutdown".
    fn shutdown(
        &self,
        action: Action,
        error: Option<JsValue>,
        context: &mut Context,
    ) -> JsResult<()> {
        if self.is_shutting_down() {
            return Ok(());
        }
        self.0.state.borrow_mut().shutdown = Some(Shutdown { action, error });
        let dest = &self.0.dest;
        if dest.status() == writable::Status::Writable && !dest.close_queued_or_in_flight() {
            return self.wait_for_writes(context);
        }
        self.perform_shutdown(context)
    }

    /// "Wait until every chunk that has been read has been written."
    fn wait_for_writes(&self, context: &mut Context) -> JsResult<()> {
        let last_write = self.0.state.borrow().last_write.clone();
        last_write.react(
            (self.clone(), last_write.clone()),
            |(pipe, waited_for), _, context| {
                let done = pipe.0.state.borrow().last_write.is(waited_for);
                if done {
                    pipe.perform_shutdown(context)
                } else {
                    pipe.wait_for_writes(context)
                }
            },
            context,
        )
    }

    fn perform_shutdown(&self, context: &mut Context) -> JsResult<()> {
        let shutdown = self.0.state.borrow().shutdown.clone();
        let Some(shutdown) = shutdown else {
            return Ok(());
        };
        let parts = &*self.0;
        let promise = match &shutdown.action {
            Action::None => return self.finalize(shutdown.error.clone(), context),
            Action::AbortDest(error) => parts.dest.abort(error.clone(), context)?,
            Action::CancelSource(error) => parts.source.cancel(error.clone(), context)?,
            Action::CloseDest => parts.writer.close_with_error_propagation(context)?,
            Action::AbortBoth(error) => self.abort_both(error, context)?,
        };
        promise.react(
            (self.clone(), shutdown.error.clone()),
            |(pipe, error), outcome, context| {
                let error = outcome.err().or_else(|| error.clone());
                pipe.finalize(error, context)
            },
            context,
        )
    }

    /// The actions of the abort algorithm, one after the other, and a promise to wait for both.
    fn abort_both(&self, error: &JsValue, context: &mut Context) -> JsResult<Promise> {
        let parts = &*self.0;
        let mut actions = Vec::new();
        if !parts.prevent_abort && parts.dest.status() == writable::Status::Writable {
            actions.push(parts.dest.abort(error.clone(), context)?);
        }
        if !parts.prevent_cancel && parts.source.status() == Status::Readable {
            actions.push(parts.source.cancel(error.clone(), context)?);
        }
        Promise::all(actions, context)
    }

    fn finalize(&self, error: Option<JsValue>, context: &mut Context) -> JsResult<()> {
        self.0.writer.release(context)?;
        self.0.reader.release(context)?;
        match error {
            Some(error) => self.0.promise.reject(error, context),
            None => self.0.promise.resolve(JsValue::undefined(), context),
        }
    }
}

#[derive(Trace, Finalize)]
struct PipeRequest(Pipe);

impl ReadRequest for PipeRequest {
    fn chunk(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        let pipe = self.0.clone();
        let written = Promise::new();
        pipe.0.state.borrow_mut().last_write = written.clone();
        // The sink must not be called from within the source's `enqueue()`.
        LoopState::of(context)?.queue_microtask(move |context| {
            match pipe.0.writer.write(chunk, context) {
                Ok(result) => result.react(
                    written,
                    |written, _, context| written.resolve(JsValue::undefined(), context),
                    context,
                )?,
                Err(_) => written.resolve(JsValue::undefined(), context)?,
            }
            pipe.step(context)
        });
        Ok(())
    }

    fn close(&self, _: JsValue, _: &mut Context) -> JsResult<()> {
        Ok(())
    }

    fn error(&self, _: JsValue, _: &mut Context) -> JsResult<()> {
        Ok(())
    }
}
