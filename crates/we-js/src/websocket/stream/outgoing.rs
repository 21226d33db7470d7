//! What goes to the peer: the sink of `writable`.

use std::cell::Cell;

use boa_engine::{Context, JsResult, JsValue};
use boa_gc::{Finalize, GcRefCell, Trace};
use we_net::protocol::{Message, Payload};

use super::{Session, error::CloseInfo, session::closed_error};
use crate::{
    binding::{BufferSource, Promise, usv_string},
    event_loop::LoopState,
    streams::{UnderlyingSink, WritableStream},
};

/// A write is done when no more than this many bytes of payload wait to be written to the network.
const UNWRITTEN_MARK: u64 = 64 << 10;

/// After so many writes that were done at once, one waits for a word from the network: a script that writes and awaits in
/// a loop goes from microtask to microtask, and would never let the loop come to what it has written.
const WRITES_AT_ONCE: u32 = 256;

/// The outgoing half of a session.
#[derive(Default, Trace, Finalize)]
pub(super) struct Outgoing {
    stream: GcRefCell<Option<WritableStream>>,
    /// Bytes of payload that were given to the connection.
    #[unsafe_ignore_trace]
    sent: Cell<u64>,
    /// Writes that were done at once, since one had to wait.
    #[unsafe_ignore_trace]
    at_once: Cell<u32>,
    /// The promise of the write that waits for the network.
    write: GcRefCell<Option<Promise>>,
    /// The promise of the stream's close, which waits for the connection's.
    close: GcRefCell<Option<Promise>>,
    /// Whether the peer began to close the connection while a write was waiting.
    #[unsafe_ignore_trace]
    is_cut_off: Cell<bool>,
}

impl Outgoing {
    pub(super) fn set_up(&self, stream: WritableStream) {
        *self.stream.borrow_mut() = Some(stream);
    }

    /// The network has taken so much that the next write may come.
    pub(super) fn flushed(&self, context: &mut Context) -> JsResult<()> {
        if self.is_cut_off() {
            return Ok(());
        }
        let write = self.write.borrow_mut().take();
        match write {
            Some(write) => write.resolve(JsValue::undefined(), context),
            None => Ok(()),
        }
    }

    /// The peer begins to close the connection. A write that waits has failed: nobody knows what became of it.
    pub(super) fn cut_off(&self) {
        self.is_cut_off.set(self.write.borrow().is_some());
    }

    /// Whether the peer closed the connection in the middle of a write.
    pub(super) fn is_cut_off(&self) -> bool {
        self.is_cut_off.get()
    }

    /// Whether all that was written has reached the network, of a connection that is closed and had taken `flushed` bytes.
    pub(super) fn is_all_sent(&self, flushed: u64) -> bool {
        !self.is_cut_off() && self.sent.get() <= flushed
    }

    /// The connection was closed cleanly. A stream that was not closed itself fails with `error`.
    pub(super) fn end(&self, error: &JsValue, context: &mut Context) -> JsResult<()> {
        // All has been sent, though the network did not come to say so.
        self.flushed(context)?;
        let close = self.close.borrow_mut().take();
        match close {
            Some(close) => close.resolve(JsValue::undefined(), context),
            None => self.fail(error, context),
        }
    }

    /// Nothing can be written any more: the stream fails, with all that waits in it.
    pub(super) fn fail(&self, error: &JsValue, context: &mut Context) -> JsResult<()> {
        let write = self.write.borrow_mut().take();
        if let Some(write) = write {
            write.reject(error.clone(), context)?;
        }
        let close = self.close.borrow_mut().take();
        if let Some(close) = close {
            close.reject(error.clone(), context)?;
        }
        let stream = self.stream.borrow().clone();
        match stream {
            Some(stream) => stream.error_if_needed(error.clone(), context),
            None => Ok(()),
        }
    }
}

/// `BufferSource or USVString`
fn message(chunk: &JsValue, context: &mut Context) -> JsResult<Message> {
    if chunk.is_string() {
        return Ok(Message::text(usv_string(chunk, context)?));
    }
    match BufferSource::from_value(chunk, context) {
        Some(buffer) => {
            buffer.require_plain(context)?;
            Ok(Message::Binary(
                buffer.with_bytes(|bytes| Payload::from(bytes)),
            ))
        }
        None => {
            // The stream goes on when this throws, and a script's call of `write()` may be under way.
            let chunk = chunk.clone();
            let text = LoopState::of(context)?.call_cleanly(
                move |context| chunk.to_string(context).map(JsValue::from),
                context,
            )?;
            Ok(Message::text(usv_string(&text, context)?))
        }
    }
}

/// The underlying sink of `writable`.
#[derive(Trace, Finalize)]
pub(super) struct Sink(pub(super) Session);

impl UnderlyingSink for Sink {
    fn write(
        &self,
        chunk: JsValue,
        _: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        // This may run script, after which the connection may be closed.
        let message = message(&chunk, context)?;
        if !self.0.is_open() {
            return Ok(Promise::rejected(closed_error(context)?));
        }
        let outgoing = self.0.outgoing();
        let sent = outgoing.sent.get().saturating_add(message.len() as u64);
        let at_once = outgoing.at_once.get() + 1;
        let is_done = self.0.with_connection(|connection| {
            let flushed = connection.flushed_bytes();
            connection.send(message);
            let is_done =
                sent.saturating_sub(flushed) <= UNWRITTEN_MARK && at_once < WRITES_AT_ONCE;
            if !is_done {
                connection.tell_when_flushed(sent.saturating_sub(UNWRITTEN_MARK));
            }
            is_done
        });
        outgoing.sent.set(sent);
        if is_done == Some(true) {
            outgoing.at_once.set(at_once);
            return Ok(Promise::fulfilled());
        }
        outgoing.at_once.set(0);
        let promise = Promise::new();
        *outgoing.write.borrow_mut() = Some(promise.clone());
        Ok(promise)
    }

    fn close(&self, _: &WritableStream, _: &mut Context) -> JsResult<Promise> {
        self.0.close(None);
        let promise = Promise::new();
        *self.0.outgoing().close.borrow_mut() = Some(promise.clone());
        Ok(promise)
    }

    fn abort(&self, reason: JsValue, _: &WritableStream, _: &mut Context) -> JsResult<Promise> {
        self.0.close(CloseInfo::of_reason(&reason).into_frame());
        Ok(Promise::fulfilled())
    }

    /// A peer that reads nothing must not keep the stream from being aborted.
    fn signal_abort(&self, reason: &JsValue, context: &mut Context) -> JsResult<()> {
        let write = self.0.outgoing().write.borrow_mut().take();
        match write {
            Some(write) => write.reject(reason.clone(), context),
            None => Ok(()),
        }
    }
}
