//! Sending a stream as the body of a request, or of a response: <https://fetch.spec.whatwg.org/#body-incrementally-read>

use std::cell::RefCell;

use boa_engine::{Context, JsError, JsResult, JsValue};
use boa_gc::{Finalize, Trace};
use tokio::sync::oneshot;
use we_net::http::{BodySender, Bytes};

use crate::{
    binding::{BufferSource, ViewKind, thrown, type_error},
    streams::{ReadRequest, Reader},
};

/// Where a body is sent to.
pub(crate) trait BodySink {
    /// Waits until there is room for a piece, and sends it. `false` if no more is wanted.
    async fn send(&self, piece: Bytes) -> bool;

    /// Waits until no more is wanted.
    async fn closed(&self);

    /// The body is complete.
    async fn finish(&self);
}

impl BodySink for BodySender {
    async fn send(&self, piece: Bytes) -> bool {
        Self::send(self, piece).await
    }

    async fn closed(&self) {
        Self::closed(self).await;
    }

    async fn finish(&self) {
        Self::finish(self).await;
    }
}

/// What a read has come to.
enum Piece {
    Bytes(Bytes),
    End,
    Failed(String),
}

/// A read of one chunk, whose outcome is awaited.
#[derive(Trace, Finalize)]
struct Reading(#[unsafe_ignore_trace] RefCell<Option<oneshot::Sender<Piece>>>);

impl Reading {
    fn tell(&self, piece: Piece) {
        if let Some(sender) = self.0.borrow_mut().take() {
            // Nobody waits any more if the fetch has ended.
            let _ = sender.send(piece);
        }
    }
}

impl ReadRequest for Reading {
    fn chunk(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        let bytes = BufferSource::from_value(&chunk, context)
            .filter(|source| source.view_kind() == Some(ViewKind::Uint8Array))
            .map(|source| source.with_bytes(Bytes::copy_from_slice));
        self.tell(match bytes {
            Some(bytes) => Piece::Bytes(bytes),
            None => Piece::Failed("a chunk of the stream is not a Uint8Array".to_owned()),
        });
        Ok(())
    }

    fn close(&self, _: JsValue, _: &mut Context) -> JsResult<()> {
        self.tell(Piece::End);
        Ok(())
    }

    fn error(&self, error: JsValue, _: &mut Context) -> JsResult<()> {
        self.tell(Piece::Failed(JsError::from_opaque(error).to_string()));
        Ok(())
    }
}

/// Sends the chunks that `reader` reads, each when the network has taken the one before: until the stream ends, or the
/// request does not want it any more, be it over or redirected to where it has no body. What the stream fails with then
/// is of no account.
///
/// # Errors
/// What stops the script. `Ok(Err(_))` says why the body cannot be sent.
pub(crate) async fn pump(
    reader: &Reader,
    sender: &impl BodySink,
    context: &RefCell<&mut Context>,
) -> JsResult<Result<(), String>> {
    loop {
        let (told, piece) = oneshot::channel();
        let reading = Reading(RefCell::new(Some(told)));
        {
            let context = &mut context.borrow_mut();
            if let Err(error) = reader.read(Box::new(reading), context) {
                let reason = thrown(error, context)?;
                return Ok(Err(JsError::from_opaque(reason).to_string()));
            }
        }
        let piece = tokio::select! {
            biased;
            () = sender.closed() => None,
            piece = piece => Some(piece),
        };
        let is_sent = match piece {
            None => false,
            Some(Ok(Piece::Bytes(bytes))) => sender.send(bytes).await,
            Some(Ok(Piece::End)) => {
                sender.finish().await;
                return Ok(Ok(()));
            }
            Some(Ok(Piece::Failed(message))) => return Ok(Err(message)),
            Some(Err(_)) => return Ok(Err("the stream was released".to_owned())),
        };
        if !is_sent {
            let context = &mut context.borrow_mut();
            let reason = type_error("the request does not want its body any more", context);
            reader.cancel(reason, context)?.mark_as_handled();
            return Ok(Ok(()));
        }
    }
}
