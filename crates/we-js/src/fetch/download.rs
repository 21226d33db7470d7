//! The body of a response as a stream, which is read from the network as somebody reads from it.

use std::{
    cell::{Cell, RefCell},
    future::ready,
    rc::Rc,
};

use aligned_vec::AVec;
use boa_engine::{Context, JsResult, JsValue, job::NativeAsyncJob, object::builtins::AlignedVec};
use boa_gc::{Finalize, Trace};
use we_net::{
    HttpError,
    http::{Body, BodySender},
};

use super::call::Call;
use crate::{
    binding::{Promise, type_error},
    streams::{ByteController, ReadableStream, UnderlyingSource},
};

/// About so many bytes are read ahead of who reads the stream, and in one chunk.
const CHUNK: usize = 64 * 1024;

/// What is left of a response.
#[derive(Trace, Finalize)]
struct Download {
    /// `None` while it is read from, and at the end.
    #[unsafe_ignore_trace]
    body: Slot,
    call: Call,
}

type Slot = Rc<Cell<Option<Connection>>>;

struct Connection {
    body: Box<Body>,
    /// Keeps the body of the request open, if the server did not wait for all of it.
    _sender: Option<BodySender>,
}

/// The stream of a body. Dropping it closes the connection.
pub(super) fn stream(
    body: Box<Body>,
    sender: Option<BodySender>,
    call: Call,
    context: &mut Context,
) -> JsResult<ReadableStream> {
    let connection = Connection {
        body,
        _sender: sender,
    };
    let source = Download {
        body: Rc::new(Cell::new(Some(connection))),
        call,
    };
    let (stream, _) =
        ReadableStream::new_bytes(source, &Promise::fulfilled(), CHUNK as f64, context)?;
    Ok(stream)
}

impl UnderlyingSource for Download {
    fn pull(&self, stream: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        let (Some(controller), Some(mut connection)) = (stream.byte_controller(), self.body.take())
        else {
            return Ok(Promise::fulfilled());
        };
        let promise = Promise::new();
        let pulled = promise.clone();
        let (call, slot) = (self.call.clone(), self.body.clone());
        let job = NativeAsyncJob::new(async move |context: &RefCell<&mut Context>| {
            let arrived = tokio::select! {
                biased;
                // The stream has failed, or was canceled.
                () = call.stop().stopped() => return Ok(JsValue::undefined()),
                arrived = next(&mut connection.body) => arrived,
            };
            let context = &mut context.borrow_mut();
            let is_last = arrived.end.is_some();
            // Before script can run, which may ask for more.
            if !is_last {
                slot.set(Some(connection));
            }
            arrived.deliver(&controller, context)?;
            if is_last {
                call.finish();
            }
            pulled.resolve(JsValue::undefined(), context)?;
            Ok(JsValue::undefined())
        });
        context.enqueue_job(job.into());
        Ok(promise)
    }

    fn cancel(&self, _: JsValue, _: &mut Context) -> JsResult<Promise> {
        self.body.take();
        self.call.stop().stop();
        self.call.finish();
        Ok(Promise::fulfilled())
    }
}

/// What one look at the network has brought.
struct Arrived {
    bytes: AlignedVec<u8>,
    /// How the body has ended, if it has.
    end: Option<Result<(), HttpError>>,
}

/// Waits for bytes, and takes what is there of them.
async fn next(body: &mut Body) -> Arrived {
    let mut bytes = AVec::new(0);
    loop {
        let piece = if bytes.is_empty() {
            body.chunk().await
        } else {
            tokio::select! {
                biased;
                piece = body.chunk() => piece,
                () = ready(()) => return Arrived { bytes, end: None },
            }
        };
        let end = match piece {
            Ok(Some(piece)) => {
                bytes.extend_from_slice(&piece);
                if bytes.len() < CHUNK {
                    continue;
                }
                None
            }
            Ok(None) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        return Arrived { bytes, end };
    }
}

impl Arrived {
    fn deliver(self, controller: &ByteController, context: &mut Context) -> JsResult<()> {
        if !self.bytes.is_empty() {
            controller.enqueue_bytes(self.bytes, context)?;
        }
        match self.end {
            None => Ok(()),
            Some(Ok(())) => controller.close_and_respond(context),
            Some(Err(error)) => {
                tracing::warn!(target: "we::net", "{error}");
                let error = type_error("the connection broke before the body ended", context);
                controller.error(error, context)
            }
        }
    }
}
