//! Sending a stream as the body of a request: <https://fetch.spec.whatwg.org/#body-incrementally-read>

use std::cell::RefCell;

use boa_engine::{Context, JsError, JsResult, JsValue};
use boa_gc::{Finalize, Trace};
use tokio::sync::oneshot;
use we_net::http::{BodySender, Bytes};

use crate::{
    binding::{BufferSource, ViewKind},
    streams::{ReadRequest, ReadableStream, Reader},
};

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

/// Sends the chunks of a stream, each when the network has taken the one before.
pub(super) async fn pump(
    stream: &ReadableStream,
    sender: &BodySender,
    context: &RefCell<&mut Context>,
) -> Result<(), String> {
    let shown = |error: JsError| error.to_string();
    let reader = Reader::acquire(stream, &mut context.borrow_mut()).map_err(shown)?;
    loop {
        let (told, piece) = oneshot::channel();
        let reading = Reading(RefCell::new(Some(told)));
        reader
            .read(Box::new(reading), &mut context.borrow_mut())
            .map_err(shown)?;
        match piece.await {
            Ok(Piece::Bytes(bytes)) => {
                if !sender.send(bytes).await {
                    return Ok(());
                }
            }
            Ok(Piece::End) => {
                sender.finish().await;
                return Ok(());
            }
            Ok(Piece::Failed(message)) => return Err(message),
            Err(_) => return Err("the stream was released".to_owned()),
        }
    }
}
