//! What comes from the peer: the source of `readable`.
//!
//! Messages wait here until they are pulled. Till then the network counts them as undelivered, and stops reading when
//! there are too many. The stream itself has room for no chunk.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use boa_engine::{
    Context, JsNativeError, JsResult, JsValue,
    object::builtins::{JsArrayBuffer, JsUint8Array},
};
use boa_gc::{Finalize, GcRefCell, Trace};
use we_net::protocol::Message;

use super::{Session, error::CloseInfo};
use crate::{
    binding::{Promise, from_utf8},
    event_loop::LoopState,
    network::SocketHandle,
    streams::{DefaultController, ReadableStream, UnderlyingSource},
};

/// The incoming half of a session.
#[derive(Default, Trace, Finalize)]
pub(super) struct Incoming {
    /// The stream's controller; missing until there is a stream, and when nobody wants the rest.
    controller: GcRefCell<Option<DefaultController>>,
    /// What has arrived and has not been asked for.
    #[unsafe_ignore_trace]
    waiting: RefCell<VecDeque<Message>>,
    /// Whether the messages that wait still count as undelivered.
    #[unsafe_ignore_trace]
    is_counted: Cell<bool>,
    /// The promise of a pull that waits for a message.
    pull: GcRefCell<Option<Promise>>,
    /// What follows the messages that wait.
    end: GcRefCell<Option<End>>,
}

/// How a stream ends.
#[derive(Clone, Trace, Finalize)]
#[boa_gc(unsafe_no_drop)]
pub(super) enum End {
    Closed,
    Failed(JsValue),
}

impl Incoming {
    pub(super) fn set_up(&self, controller: DefaultController) {
        *self.controller.borrow_mut() = Some(controller);
        self.is_counted.set(true);
    }

    /// "When a WebSocket message has been received"
    pub(super) fn receive(
        session: &Session,
        message: Message,
        context: &mut Context,
    ) -> JsResult<()> {
        // As with a `WebSocket`, what comes after `close()` is not for the script any more.
        if !session.is_open() {
            session.with_connection(|connection| connection.taken(&message));
            return Ok(());
        }
        let incoming = session.incoming();
        incoming.waiting.borrow_mut().push_back(message);
        incoming.advance(session, context)
    }

    /// The messages that wait, and those to come, hold up nobody any more.
    pub(super) fn release(&self, connection: &SocketHandle) {
        if self.is_counted.replace(false) {
            for message in &*self.waiting.borrow() {
                connection.taken(message);
            }
        }
    }

    /// The connection is closed: so is the stream, when what waits has been read.
    pub(super) fn end(&self, session: &Session, end: End, context: &mut Context) -> JsResult<()> {
        *self.end.borrow_mut() = Some(end);
        self.advance(session, context)
    }

    /// Hands out what a pull waits for, if it is there.
    fn advance(&self, session: &Session, context: &mut Context) -> JsResult<()> {
        let Some(controller) = self.controller.borrow().clone() else {
            return Ok(());
        };
        if !self.waiting.borrow().is_empty() {
            let Some(pull) = self.pull.borrow_mut().take() else {
                return Ok(());
            };
            let message = self.waiting.borrow_mut().pop_front();
            if let Some(message) = message
                && let Err(error) = self.hand_out(session, message, &controller, context)
            {
                // The message cannot be given to the script (it is larger than the embedder's limit for buffers). What
                // follows must not look as if nothing were missing.
                self.discard(session);
                session.with_connection(SocketHandle::fail);
                return pull.reject_with(error, context);
            }
            pull.resolve(JsValue::undefined(), context)?;
        }
        if !self.waiting.borrow().is_empty() {
            return Ok(());
        }
        let end = self.end.borrow_mut().take();
        match end {
            None => return Ok(()),
            Some(End::Closed) => controller.close(context)?,
            Some(End::Failed(error)) => controller.error(error, context)?,
        }
        self.controller.borrow_mut().take();
        let pull = self.pull.borrow_mut().take();
        match pull {
            Some(pull) => pull.resolve(JsValue::undefined(), context),
            None => Ok(()),
        }
    }

    fn hand_out(
        &self,
        session: &Session,
        message: Message,
        controller: &DefaultController,
        context: &mut Context,
    ) -> JsResult<()> {
        if self.is_counted.get() {
            session.with_connection(|connection| connection.taken(&message));
        }
        let chunk = chunk(message, context)?;
        controller.enqueue(chunk, context)
    }

    /// Forgets what waits: nobody will ask for it.
    fn discard(&self, session: &Session) {
        session.with_connection(|connection| self.release(connection));
        self.waiting.borrow_mut().clear();
        self.controller.borrow_mut().take();
    }
}

/// A string or a `Uint8Array`. The payload's own block of memory becomes the array's.
fn chunk(message: Message, context: &mut Context) -> JsResult<JsValue> {
    LoopState::of(context)?.account_external(message.len());
    Ok(match message {
        Message::Text(text) => from_utf8(&text).into(),
        Message::Binary(payload) => {
            // The engine asks this for buffers that it allocates itself.
            if payload.len() as u64 > context.host_hooks().max_buffer_size(context) {
                return Err(JsNativeError::range()
                    .with_message("the message is larger than an ArrayBuffer may be")
                    .into());
            }
            let buffer = JsArrayBuffer::from_byte_block(payload.into_inner(), context)?;
            JsUint8Array::from_array_buffer(buffer, context)?.into()
        }
    })
}

/// The underlying source of `readable`.
#[derive(Trace, Finalize)]
pub(super) struct Source(pub(super) Session);

impl UnderlyingSource for Source {
    fn pull(&self, _: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        let incoming = self.0.incoming();
        let promise = Promise::new();
        *incoming.pull.borrow_mut() = Some(promise.clone());
        incoming.advance(&self.0, context)?;
        Ok(promise)
    }

    fn cancel(&self, reason: JsValue, _: &mut Context) -> JsResult<Promise> {
        self.0.incoming().discard(&self.0);
        self.0.close(CloseInfo::of_reason(&reason).into_frame());
        Ok(Promise::fulfilled())
    }
}
