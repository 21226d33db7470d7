//! What has arrived on a stream and has not been read.
//!
//! A task of each stream, the porter, takes DATA frames from the connection as they come and puts their bytes here, whether
//! anybody reads or not. Left with `h2` each frame would keep its own block of memory, and a peer that sends tiny
//! messages to a socket that is not read would run into the limit on that, which costs the whole connection. Here tiny
//! frames are joined. How much there may be is the stream's window: it opens again only for what has been read.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use h2::RecvStream;
use hyper::body::Bytes;

use super::error::describe;

/// Frames with fewer bytes are joined. A frame that is kept as it is keeps the whole block in memory that it was read into.
const JOINED: usize = 4 * 1024;

/// Shared by the stream and its porter.
#[derive(Default)]
pub(super) struct Inbox(Mutex<State>);

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Behind all pieces.
    tail: Vec<u8>,
    end: Option<End>,
    reader: Option<Waker>,
    porter: Option<Waker>,
    /// Whether nobody will read any more.
    abandoned: bool,
}

/// How the input ended.
#[derive(Clone, Debug)]
enum End {
    /// END_STREAM.
    Orderly,
    Broken(io::ErrorKind, String),
}

impl Inbox {
    /// The next bytes; empty at the end of the input.
    pub(super) fn poll_take(&self, cx: &Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut state = self.lock();
        if let Some(piece) = state.pieces.pop_front() {
            return Poll::Ready(Ok(piece));
        }
        if !state.tail.is_empty() {
            return Poll::Ready(Ok(mem::take(&mut state.tail).into()));
        }
        if let Some(end) = &state.end {
            return Poll::Ready(match end {
                End::Orderly => Ok(Bytes::new()),
                End::Broken(kind, text) => Err(io::Error::new(*kind, text.clone())),
            });
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What broke the input, if something has.
    pub(super) fn error(&self) -> Option<io::Error> {
        match &self.lock().end {
            Some(End::Broken(kind, text)) => Some(io::Error::new(*kind, text.clone())),
            Some(End::Orderly) | None => None,
        }
    }

    /// Whether the input has ended in order and has been read to its end.
    pub(super) fn is_over(&self) -> bool {
        let state = self.lock();
        matches!(state.end, Some(End::Orderly)) && state.pieces.is_empty() && state.tail.is_empty()
    }

    /// Nobody will read any more: the porter lets go of the stream.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned = true;
        let porter = state.porter.take();
        drop(state);
        wake(porter);
    }

    fn put(&self, bytes: Bytes) {
        let mut state = self.lock();
        if bytes.len() < JOINED {
            state.tail.extend_from_slice(&bytes);
        } else {
            if !state.tail.is_empty() {
                let tail = mem::take(&mut state.tail);
                state.pieces.push_back(tail.into());
            }
            state.pieces.push_back(bytes);
        }
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    fn end(&self, end: End) {
        let mut state = self.lock();
        // The first is the one that counts.
        state.end.get_or_insert(end);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    /// Ready when nobody will read any more.
    fn poll_abandoned(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.abandoned {
            return Poll::Ready(());
        }
        match &mut state.porter {
            Some(present) => present.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Nothing panics while the lock is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Ends the input of which nothing more will come because its porter has gone: with its runtime, though the stream may
/// have been taken to another one.
struct Duty(Arc<Inbox>);

impl Drop for Duty {
    fn drop(&mut self) {
        self.0.end(End::Broken(
            io::ErrorKind::ConnectionAborted,
            "the runtime that drove the HTTP/2 connection has ended".to_owned(),
        ));
    }
}

/// The porter of a stream. Ends when the input does, or when it is [abandoned](Inbox::abandon).
pub(super) fn carry(input: RecvStream, inbox: Arc<Inbox>) -> impl Future<Output = ()> {
    // Out here: it counts for a task that has never been polled, too.
    carry_on(input, Duty(inbox))
}

async fn carry_on(mut input: RecvStream, duty: Duty) {
    let inbox = &duty.0;
    let end = std::future::poll_fn(|cx| {
        if inbox.poll_abandoned(cx).is_ready() {
            return Poll::Ready(None);
        }
        loop {
            match std::task::ready!(input.poll_data(cx)) {
                Some(Ok(bytes)) => inbox.put(bytes),
                Some(Err(error)) => {
                    let (kind, text) = describe(&error);
                    return Poll::Ready(Some(End::Broken(kind, text)));
                }
                None => return Poll::Ready(Some(End::Orderly)),
            }
        }
    });
    if let Some(end) = end.await {
        inbox.end(end);
    }
}

#[cfg(test)]
impl Inbox {
    /// Pieces, and bytes in them.
    pub(super) fn size(&self) -> (usize, usize) {
        let state = self.lock();
        let pieces = state.pieces.iter().map(Bytes::len).sum::<usize>();
        (state.pieces.len() + 1, pieces + state.tail.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tiny_frames_are_joined_and_keep_their_order() {
        let inbox = Inbox::default();
        for byte in 0..=255u8 {
            inbox.put(Bytes::from(vec![byte; 16]));
        }
        inbox.put(Bytes::from(vec![1; JOINED]));
        inbox.put(Bytes::from_static(b"end"));
        assert_eq!(inbox.size(), (3, 256 * 16 + JOINED + 3));
        let cx = Context::from_waker(Waker::noop());
        let mut taken = Vec::new();
        while let Poll::Ready(piece) = inbox.poll_take(&cx) {
            taken.push(piece.unwrap());
        }
        assert_eq!(taken.len(), 3);
        let first: Vec<u8> = taken.first().unwrap().iter().copied().step_by(16).collect();
        assert_eq!(first, (0..=255).collect::<Vec<u8>>());
        assert_eq!(taken.last().unwrap(), &"end");
    }

    #[test]
    fn what_has_arrived_comes_before_the_end() {
        let inbox = Inbox::default();
        let cx = Context::from_waker(Waker::noop());
        assert!(inbox.poll_take(&cx).is_pending());
        inbox.put(Bytes::from_static(b"x"));
        inbox.end(End::Broken(io::ErrorKind::ConnectionReset, "gone".into()));
        assert!(matches!(inbox.poll_take(&cx), Poll::Ready(Ok(bytes)) if bytes == "x"));
        for _ in 0..2 {
            assert!(
                matches!(inbox.poll_take(&cx), Poll::Ready(Err(error)) if error.to_string() == "gone")
            );
        }
        assert_eq!(inbox.error().unwrap().to_string(), "gone");
    }
}
