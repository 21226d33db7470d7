//! The method `fetch()`: <https://fetch.spec.whatwg.org/#fetch-method>
//!
//! A fetch is an asynchronous job of the event loop: it keeps the loop running until there is a response, and ends with it.
//! The body of a response belongs to its stream (`download.rs`), which keeps what is left of the call; the signal does
//! not.

use std::{cell::RefCell, future::pending, pin::pin};

use boa_engine::{
    Context, JsResult, JsValue,
    job::NativeAsyncJob,
    object::{JsObject, builtins::JsPromise},
};
use boa_gc::{Finalize, Gc, GcRefCell, Trace, WeakGc};
use we_net::http::{BodySender, RequestBody};

use super::{
    body::{Body, HasBody},
    download,
    fetching::{Asker, Fetching, NetworkError, Received, ReceivedBody, Upload},
    headers::Guard,
    line::{Connection, Line},
    request::Request,
    response::Response,
    upload::pump,
};
use crate::{
    abort::{AbortAlgorithm, AbortSignal},
    binding::{Promise, This, type_error},
    event_loop::LoopState,
    file,
    streams::{ReadableStream, Reader, WeakReadableStream},
};

/// A call of `fetch()`. Clones are the same one.
#[derive(Clone, Trace, Finalize)]
pub(super) struct Call(Gc<State>);

#[derive(Trace, Finalize)]
struct State {
    promise: Promise,
    request_body: Option<ReadableStream>,
    /// The body of the response, once there is one. It keeps the call, not the other way round: a signal that lives on
    /// must not keep a body that nobody can reach.
    response_body: GcRefCell<Option<WeakReadableStream>>,
    /// What the signal runs, until there is nothing left to abort.
    abort: GcRefCell<Option<(JsObject, AbortAlgorithm)>>,
    #[unsafe_ignore_trace]
    line: Line,
}

/// A call that may be collected.
pub(super) struct WeakCall(WeakGc<State>);

impl WeakCall {
    pub(super) fn upgrade(&self) -> Option<Call> {
        self.0.upgrade().map(Call)
    }
}

/// <https://fetch.spec.whatwg.org/#dom-global-fetch>
pub(super) fn fetch(args: &[JsValue], context: &mut Context) -> JsResult<JsPromise> {
    // 1.
    let promise = Promise::new();
    let object = promise.object(context)?;
    // 2., 3.
    let request = Request::from_arguments(args, context)?;
    let (head, signal, body) = {
        let state = request.state();
        (state.head().clone(), state.signal(), state.body())
    };
    let signal = This::<AbortSignal>::from_object(signal);
    let call = Call(Gc::new(State {
        promise,
        request_body: body.as_ref().map(|body| body.stream.clone()),
        response_body: GcRefCell::new(None),
        abort: GcRefCell::new(None),
        line: Line::default(),
    }));
    if let Some(signal) = signal {
        // 4.
        if signal.state().is_aborted() {
            call.abort(&AbortSignal::reason_of(&signal), context)?;
            return Ok(object);
        }
        // 11.
        let algorithm = AbortAlgorithm::new(call.clone(), Call::abort);
        algorithm.add_to_kept(&signal);
        *call.0.abort.borrow_mut() = Some((signal.object().clone(), algorithm));
    }
    // 12.
    let (upload, source) = match body {
        None => (Upload::None, None),
        Some(Body {
            source: Some(data), ..
        }) => (Upload::Data(data), None),
        Some(Body { stream, .. }) => {
            let reader = Reader::acquire(&stream, context)?;
            let (sender, body) = RequestBody::channel();
            (Upload::Stream(Some(body)), Some((reader, sender)))
        }
    };
    let asker = Asker::of(LoopState::of(context)?);
    let url = head.url.clone();
    let fetching = Fetching::new(head, upload, asker);
    let job = NativeAsyncJob::new(async move |context: &RefCell<&mut Context>| {
        let result = call.run(fetching, source, context).await?;
        let context = &mut context.borrow_mut();
        match result {
            // It was aborted, and the promise is settled.
            None => {}
            Some(Ok((received, sender))) => call.respond(received, sender, context)?,
            Some(Err(error)) => {
                tracing::warn!(target: "we::net", "{url}: {error}");
                call.finish();
                let error = type_error("fetch: no answer could be had from the server", context);
                call.0.promise.reject(error, context)?;
            }
        }
        Ok(JsValue::undefined())
    });
    context.enqueue_job(job.into());
    Ok(object)
}

/// The reader of a stream to be sent, and where to.
type Source = (Reader, BodySender);

impl Call {
    /// Fetches and, meanwhile, sends the stream. `None` if it was aborted. A sender is handed on where the server has
    /// answered without having all of the body: the rest is not sent, but the connection must not take that for a failure.
    async fn run(
        &self,
        fetching: Fetching,
        source: Option<Source>,
        context: &RefCell<&mut Context>,
    ) -> JsResult<Option<Result<(Received, Option<BodySender>), NetworkError>>> {
        let (reader, sender) = source.unzip();
        let fetching = pin!(fetching.run());
        // Comes to an end if the body cannot be sent.
        let pumping = async {
            if let (Some(reader), Some(sender)) = (reader, &sender)
                && let Err(message) = pump(&reader, sender, context).await?
            {
                return JsResult::Ok(NetworkError::Upload(message));
            }
            pending().await
        };
        let result = tokio::select! {
            biased;
            () = self.0.line.stopped() => return Ok(None),
            result = fetching => result,
            failure = pumping => Err(failure?),
        };
        Ok(Some(result.map(|received| (received, sender))))
    }

    /// `processResponse`: <https://fetch.spec.whatwg.org/#dom-global-fetch> step 12
    fn respond(
        &self,
        received: Received,
        sender: Option<BodySender>,
        context: &mut Context,
    ) -> JsResult<()> {
        let body = match received.body {
            ReceivedBody::None => None,
            ReceivedBody::Data(data) => Some(Body {
                stream: file::of_bytes_with(self.clone(), data.clone(), context)?,
                source: Some(data),
            }),
            ReceivedBody::Network(remote) => {
                let connection = Connection {
                    remote,
                    _sender: sender,
                };
                Some(Body {
                    stream: download::stream(connection, self.clone(), context)?,
                    source: None,
                })
            }
        };
        match &body {
            Some(body) => *self.0.response_body.borrow_mut() = Some(body.stream.downgrade()),
            None => self.finish(),
        }
        let response = Response::create(received.head, Guard::Immutable, body, context)?;
        let response = response.object().clone();
        self.0.promise.resolve(response.into(), context)
    }

    /// [Abort the `fetch()` call](https://fetch.spec.whatwg.org/#abort-fetch)
    fn abort(&self, reason: &JsValue, context: &mut Context) -> JsResult<()> {
        self.0.line.stop();
        let body = self.0.response_body.borrow().clone();
        let body = body.and_then(|body| body.upgrade());
        self.finish();
        // 1.
        self.0.promise.reject(reason.clone(), context)?;
        // 2.
        if let Some(body) = &self.0.request_body
            && body.is_readable()
        {
            body.cancel(reason.clone(), context)?.mark_as_handled();
        }
        // 3. to 5.
        match body {
            Some(body) if body.is_readable() => body.fail(reason.clone(), context),
            _ => Ok(()),
        }
    }

    pub(super) fn downgrade(&self) -> WeakCall {
        WeakCall(WeakGc::new(&self.0))
    }

    pub(super) fn line(&self) -> &Line {
        &self.0.line
    }

    /// Nothing is left to abort.
    pub(super) fn finish(&self) {
        if let Some((signal, algorithm)) = self.0.abort.borrow_mut().take() {
            algorithm.remove_from(&signal);
        }
        self.0.response_body.borrow_mut().take();
    }
}
