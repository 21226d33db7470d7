//! The body of a request.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// The body of a [`Request`](super::Request).
///
/// Bytes in one piece are sent with their length; those of a [`channel`](Self::channel) as they come
/// (`Transfer-Encoding: chunked`).
pub struct RequestBody(Kind);

enum Kind {
    None,
    Whole(Bytes),
    /// `None` comes at the end of a body that is complete.
    Stream(mpsc::Receiver<Option<Bytes>>),
}

impl RequestBody {
    /// No body.
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// A body whose length is not known before, and the end into which its pieces are put.
    pub fn channel() -> (BodySender, Self) {
        // One piece waits while another is written: whoever sends is as slow as the network.
        let (sender, receiver) = mpsc::channel(1);
        (BodySender(sender), Self(Kind::Stream(receiver)))
    }

    /// The number of bytes, if it is known; `None` also where there is no body.
    pub(super) fn length(&self) -> Option<usize> {
        match &self.0 {
            Kind::Whole(bytes) => Some(bytes.len()),
            Kind::None | Kind::Stream(_) => None,
        }
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(self.0, Kind::None)
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestBody").field(&self.length()).finish()
    }
}

/// Puts pieces into a [`RequestBody`]. If it is dropped before [`finish`](Self::finish), the request
/// fails: the server must not take a part for the whole. A server that answers before the end wants no
/// more of it; keep the sender then as long as the body of the answer is read.
#[derive(Debug)]
pub struct BodySender(mpsc::Sender<Option<Bytes>>);

impl BodySender {
    /// Waits until there is room for a piece. `false` if the request is over.
    pub async fn send(&self, piece: Bytes) -> bool {
        // An empty chunk would be the last one.
        piece.is_empty() || self.0.send(Some(piece)).await.is_ok()
    }

    /// Waits until no more of the body is wanted: the request is over.
    pub async fn closed(&self) {
        self.0.closed().await;
    }

    /// Ends the body.
    pub async fn finish(&self) {
        // Nobody is left to be told of the end if this fails.
        let _ = self.0.send(None).await;
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = match &mut self.0 {
            Kind::None => None,
            Kind::Whole(bytes) if bytes.is_empty() => None,
            Kind::Whole(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Kind::Stream(receiver) => match ready!(receiver.poll_recv(cx)) {
                Some(Some(piece)) => Some(Ok(Frame::data(piece))),
                Some(None) => {
                    self.0 = Kind::None;
                    None
                }
                None => Some(Err(io::Error::other(
                    "the body of the request was given up",
                ))),
            },
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::None => true,
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::None => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}
