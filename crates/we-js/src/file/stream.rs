//! `stream()` of a `Blob`: <https://w3c.github.io/FileAPI/#blob-get-stream>

use std::cell::Cell;

use boa_engine::{Context, JsResult};
use boa_gc::{Finalize, Trace};

use super::{
    BlobData,
    blob::{memory_limit, not_readable},
};
use crate::{
    binding::Promise,
    event_loop::{self, TaskSource},
    streams::{ReadableStream, UnderlyingSource},
};

/// The bytes of a chunk. The standard leaves the number open.
const CHUNK: u64 = 64 * 1024;

/// The bytes of a blob, and how many have been read.
#[derive(Trace, Finalize)]
struct BlobSource<T: Trace> {
    #[unsafe_ignore_trace]
    data: BlobData,
    #[unsafe_ignore_trace]
    position: Cell<u64>,
    _companion: T,
}

/// A byte stream of the bytes, which are copied chunk by chunk when somebody reads.
pub(crate) fn of_bytes(data: BlobData, context: &mut Context) -> JsResult<ReadableStream> {
    of_bytes_with((), data, context)
}

/// The same, and keeps a companion until the stream has ended.
pub(crate) fn of_bytes_with<T: Trace + 'static>(
    companion: T,
    data: BlobData,
    context: &mut Context,
) -> JsResult<ReadableStream> {
    let is_empty = data.len() == 0;
    let source = BlobSource {
        data,
        position: Cell::new(0),
        _companion: companion,
    };
    let start = Promise::fulfilled();
    let (stream, controller) = ReadableStream::new_bytes(source, &start, 0.0, context)?;
    if is_empty {
        queue(
            move |context| controller.close_and_respond(context),
            context,
        )?;
    }
    Ok(stream)
}

impl<T: Trace + 'static> UnderlyingSource for BlobSource<T> {
    fn pull(&self, stream: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        let Some(controller) = stream.byte_controller() else {
            return Ok(Promise::fulfilled());
        };
        let limit = memory_limit(context);
        let start = self.position.get();
        let end = start + CHUNK.min(limit).min(self.data.len() - start);
        self.position.set(end);
        let is_last = end == self.data.len();
        let chunk = self.data.slice(start..end);
        let promise = Promise::new();
        let pulled = promise.clone();
        queue(
            move |context| {
                match chunk.to_aligned(limit) {
                    Ok(bytes) if !bytes.is_empty() => controller.enqueue_bytes(bytes, context)?,
                    Ok(_) => {}
                    Err(error) => {
                        let error = not_readable(error, context).into_opaque(context)?;
                        controller.error(error, context)?;
                    }
                }
                if is_last {
                    controller.close_and_respond(context)?;
                }
                pulled.resolve(boa_engine::JsValue::undefined(), context)
            },
            context,
        )?;
        Ok(promise)
    }
}

/// Queues steps on the file reading task source.
fn queue(
    steps: impl FnOnce(&mut Context) -> JsResult<()> + 'static,
    context: &mut Context,
) -> JsResult<()> {
    event_loop::queue_task(
        TaskSource::FileReading,
        move |context| {
            if let Err(error) = steps(context) {
                tracing::debug!(target: "we::js", %error, "a chunk of a Blob was not delivered");
            }
        },
        context,
    )
}
