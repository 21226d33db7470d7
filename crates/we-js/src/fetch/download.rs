//! The body of a response as a stream, which is read from the network as somebody reads from it.
//!
//! The stream owns the connection; who wants the bytes owns the stream. Jobs of the loop move the bytes, in one of two ways:
//!
//! - While the stream is [awaited](ReadableStream::is_awaited) (a read waits, or a script has asked for the promise of
//!   the end), the network can wake who waits. So the job keeps the stream, and the loop running.
//! - Else the job reads ahead, up to [`CHUNK`]: a small body ends, and its connection with it, though nobody reads it.
//!   Nobody can tell whether that happens, so it keeps neither the stream nor the loop. When the stream is collected, the
//!   connection is closed; when the loop has nothing else to do, reading ahead ends until the next run.
//!
//! This is what the standard allows: <https://fetch.spec.whatwg.org/#garbage-collection>

use std::{
    cell::RefCell,
    future::ready,
    rc::{Rc, Weak},
};

use aligned_vec::AVec;
use boa_engine::{Context, JsResult, JsValue, job::NativeAsyncJob, object::builtins::AlignedVec};
use boa_gc::{Finalize, Trace};
use we_net::{HttpError, http::Body};

use super::{
    call::Call,
    line::{Borrowed, Connection, Line},
};
use crate::{
    binding::{Promise, type_error},
    event_loop::{KeepAlive, LoopState},
    streams::{ByteController, ReadableStream, UnderlyingSource},
};

/// About so many bytes are read ahead of who reads the stream, and in one chunk.
const CHUNK: usize = 64 * 1024;

/// What is left of a response.
#[derive(Trace, Finalize)]
struct Download {
    #[unsafe_ignore_trace]
    owned: OwnedLine,
    /// What the job that reads keeps, if one does.
    #[unsafe_ignore_trace]
    kept: RefCell<Weak<Kept>>,
    call: Call,
}

/// Dropping it closes the connection.
struct OwnedLine(Line);

impl Drop for OwnedLine {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What a job keeps while the stream is awaited: the stream, and the loop running.
#[derive(Default)]
struct Kept(RefCell<Option<(ReadableStream, KeepAlive)>>);

impl Kept {
    /// Begins to keep the stream, or lets it go.
    fn attend(&self, stream: &ReadableStream, context: &Context) -> JsResult<()> {
        let kept = if stream.is_awaited() {
            Some((stream.clone(), LoopState::of(context)?.hold()))
        } else {
            None
        };
        self.0.replace(kept);
        Ok(())
    }
}

/// The stream of a body. Dropping it closes the connection.
pub(super) fn stream(
    connection: Connection,
    call: Call,
    context: &mut Context,
) -> JsResult<ReadableStream> {
    let line = call.line().clone();
    line.connect(connection);
    let source = Download {
        owned: OwnedLine(line),
        kept: RefCell::default(),
        call,
    };
    let (stream, _) =
        ReadableStream::new_bytes(source, &Promise::fulfilled(), CHUNK as f64, context)?;
    Ok(stream)
}

impl UnderlyingSource for Download {
    /// The promise does not wait for the bytes, so that each read that waits is told of by another pull.
    fn pull(&self, stream: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        if let Some(borrowed) = self.owned.0.borrow() {
            self.read(borrowed, stream, context)?;
        }
        self.attend(stream, context)?;
        Ok(Promise::fulfilled())
    }

    fn cancel(&self, _: JsValue, _: &mut Context) -> JsResult<Promise> {
        self.owned.0.stop();
        self.call.finish();
        Ok(Promise::fulfilled())
    }

    fn attend(&self, stream: &ReadableStream, context: &Context) -> JsResult<()> {
        let kept = self.kept.borrow().upgrade();
        match kept {
            Some(kept) => kept.attend(stream, context),
            None => Ok(()),
        }
    }
}

impl Download {
    /// Starts a job that waits for the next bytes. It refers weakly to all that belongs to the stream.
    fn read(
        &self,
        mut borrowed: Borrowed,
        stream: &ReadableStream,
        context: &Context,
    ) -> JsResult<()> {
        let kept = Rc::<Kept>::default();
        self.kept.replace(Rc::downgrade(&kept));
        let line = self.owned.0.clone();
        let (stream, call) = (stream.downgrade(), self.call.downgrade());
        let job = NativeAsyncJob::new(async move |context: &RefCell<&mut Context>| {
            let Some(connection) = &mut borrowed.connection else {
                return Ok(JsValue::undefined());
            };
            let arrived = tokio::select! {
                biased;
                // The stream has failed, was canceled or collected.
                () = line.stopped() => {
                    borrowed.connection.take();
                    return Ok(JsValue::undefined());
                }
                arrived = next(&mut connection.remote.body) => arrived,
            };
            let context = &mut context.borrow_mut();
            let is_last = arrived.end.is_some();
            if is_last {
                borrowed.connection.take();
            }
            let Some(controller) = stream.upgrade().and_then(|it| it.byte_controller()) else {
                return Ok(JsValue::undefined());
            };
            // Before script can run, which may ask for more.
            drop((borrowed, kept));
            arrived.deliver(&controller, context)?;
            if is_last && let Some(call) = call.upgrade() {
                call.finish();
            }
            Ok(JsValue::undefined())
        });
        LoopState::of(context)?.start_background_job(job);
        Ok(())
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
