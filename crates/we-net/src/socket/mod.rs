//! [`WebSocket`]: an open connection as a Rust program uses it, whole or split into a sending and a
//! receiving half.
//!
//! Both halves share one [`Driver`] behind a mutex that is never held across an await. They may be
//! awaited by different tasks: the driver sees one waker, which wakes them both, so neither can
//! lose a wake-up to the other.
//!
//! All methods are cancel-safe, as each says of itself: dropping a future (in `select!`, by a
//! timeout) neither loses a message that has arrived nor cuts one that is being sent.

mod shared;

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use self::shared::Shared;
use self::shared::{Inner, Receiver, Side};
use crate::handshake::Headers;
use crate::protocol::{
    CloseFrame, Closure, ConnectionError, Event, Message, Refusal, SendError, State,
};
use crate::transport::{Driver, Stream};

/// What both ends agreed on in the opening handshake. The default is empty, for whoever is told of another machine's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// Path and query that the client asked for.
    pub resource: String,
    /// On a server, the host that the client asked for, with the port if it is not the default one. Empty on clients.
    pub host: String,
    /// The subprotocol in use, if any.
    pub subprotocol: Option<String>,
    /// The extensions in use, as the `Sec-WebSocket-Extensions` header of the answer lists them;
    /// mostly empty.
    pub extensions: String,
    /// The headers of the peer's half of the handshake.
    pub headers: Headers,
    /// The address of the peer (or of what stands in front of it), where the stream has one.
    pub peer_addr: Option<SocketAddr>,
}

/// A connection whose opening handshake has just succeeded, for an owner that drives it itself.
/// Otherwise turn it into a [`WebSocket`] with `into()`.
#[derive(Debug)]
pub struct Established<S> {
    /// Moves the bytes.
    pub driver: Driver<S>,
    /// What was agreed on.
    pub negotiated: Negotiated,
}

/// An open WebSocket.
///
/// Something must be awaited for anything to happen: pings are answered, and queued output is
/// written, while one of the methods runs; usually that is [`next`](Self::next). Dropping it drops
/// the connection without a closing handshake; the peer sees 1006. Call [`close`](Self::close) to
/// end it properly.
pub struct WebSocket<S = Stream> {
    sender: WebSocketSender<S>,
    receiver: WebSocketReceiver<S>,
    negotiated: Negotiated,
}

/// The sending half of a [`WebSocket`].
pub struct WebSocketSender<S = Stream> {
    shared: Arc<Shared<S>>,
}

/// The receiving half of a [`WebSocket`]. It also keeps the connection alive: while it is awaited,
/// pings are answered and deadlines minded. When it is dropped, the sending half discards what
/// arrives.
pub struct WebSocketReceiver<S = Stream> {
    shared: Arc<Shared<S>>,
}

impl<S> From<Established<S>> for WebSocket<S> {
    fn from(established: Established<S>) -> Self {
        let shared = Arc::new(Shared::new(established.driver));
        Self {
            sender: WebSocketSender {
                shared: Arc::clone(&shared),
            },
            receiver: WebSocketReceiver { shared },
            negotiated: established.negotiated,
        }
    }
}

impl<S> From<Driver<S>> for WebSocket<S> {
    /// A socket between two ends that need no opening handshake, as they are parts of one program: nothing was
    /// negotiated.
    fn from(driver: Driver<S>) -> Self {
        Established {
            driver,
            negotiated: Negotiated {
                resource: String::new(),
                host: String::new(),
                subprotocol: None,
                extensions: String::new(),
                headers: Headers::new(),
                peer_addr: None,
            },
        }
        .into()
    }
}

impl<S> WebSocket<S> {
    /// What was agreed on in the opening handshake.
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// The subprotocol in use, if any.
    pub fn subprotocol(&self) -> Option<&str> {
        self.negotiated.subprotocol.as_deref()
    }

    /// The address of the peer, where the stream has one.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.negotiated.peer_addr
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.sender.state()
    }

    /// How the connection ended, once it has.
    pub fn closure(&self) -> Option<Closure> {
        self.receiver.closure()
    }

    /// Takes the socket apart, so that one task can send while another receives.
    ///
    /// ```
    /// # use we_net::server::{Server, echo};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = Server::builder().bind("127.0.0.1:0").await?;
    /// # let url = server.url();
    /// # tokio::spawn(server.serve(echo));
    /// let (mut sender, mut receiver) = we_net::connect(&url).await?.split();
    /// let sending = tokio::spawn(async move {
    ///     for number in 0..100 {
    ///         sender.send(number.to_string()).await?;
    ///     }
    ///     Ok::<_, we_net::protocol::SendError>(sender)
    /// });
    /// for number in 0..100 {
    ///     assert_eq!(receiver.next().await?, Some(number.to_string().into()));
    /// }
    /// sending.await??.close(None).await;
    /// assert_eq!(receiver.next().await?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn split(self) -> (WebSocketSender<S>, WebSocketReceiver<S>) {
        (self.sender, self.receiver)
    }

    /// Has the peer's Close frame answered by [`WebSocketSender::close`] only. See
    /// [`Connection::answer_by_close`](crate::protocol::Connection::answer_by_close).
    pub fn answer_by_close(&mut self) {
        let mut inner = self.sender.shared.lock();
        inner.driver.connection_mut().answer_by_close();
    }

    /// For a server that closes the connections of its handlers.
    pub(crate) fn shared(&self) -> &Arc<Shared<S>> {
        &self.sender.shared
    }
}

impl WebSocket {
    /// Whether other sockets may share the connection ([HTTP/2](crate::http2)).
    pub fn is_shared(&self) -> bool {
        let inner = self.sender.shared.lock();
        inner.driver.stream().is_some_and(Stream::is_shared)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// The next message. See [`WebSocketReceiver::next`].
    pub async fn next(&mut self) -> Result<Option<Message>, ConnectionError> {
        self.receiver.next().await
    }

    /// The next event of any kind. See [`WebSocketReceiver::next_event`].
    pub async fn next_event(&mut self) -> Option<Event> {
        self.receiver.next_event().await
    }

    /// Sends a message. See [`WebSocketSender::send`].
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.send(message).await
    }

    /// Queues a message. See [`WebSocketSender::feed`].
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.feed(message).await
    }

    /// Waits until all output has been written. See [`WebSocketSender::flush`].
    pub async fn flush(&mut self) {
        self.sender.flush().await;
    }

    /// Sends a Ping. See [`WebSocketSender::ping`].
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        self.sender.ping(payload).await
    }

    /// Ends the connection: messages queued before still go out, messages that arrive are dropped,
    /// and it returns when the connection is over, with how it ended. `None` sends a Close frame
    /// without a code.
    ///
    /// It takes no longer than [`Timeouts`](crate::protocol::Timeouts) say, whatever the peer does.
    /// Cancel-safe: once it has been polled the closing handshake goes on with whatever method is
    /// awaited next.
    pub async fn close(&mut self, frame: impl Into<Option<CloseFrame>>) -> Closure {
        self.sender.shared.lock().driver.close(frame.into());
        while self.receiver.next_event().await.is_some() {}
        self.closure().unwrap_or(Closure {
            clean: false,
            code: 1006,
            reason: String::new(),
            error: None,
        })
    }
}

impl<S> WebSocketSender<S> {
    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.shared.lock().driver.connection().state()
    }

    /// How the connection ended, once it has and its end has been received.
    pub fn closure(&self) -> Option<Closure> {
        self.shared.lock().closure.clone()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketSender<S> {
    /// Sends a message: waits while more output waits than
    /// [`BackPressure`](crate::protocol::BackPressure) allows (the peer reads slowly), unless the policy
    /// is to drop such a peer; then queues it and writes as much as the stream takes at once. What the stream does not take is
    /// written while something else is awaited on the socket: [`flush`](Self::flush), the next
    /// `send`, or the receiving half's `next`.
    ///
    /// Cancel-safe: the message is then queued as a whole or not at all.
    ///
    /// # Errors
    /// When the connection is closing or closed; the message is in the error.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        self.feed(message).await?;
        self.write().await;
        Ok(())
    }

    /// Queues a message like [`send`](Self::send), but leaves the writing to what is awaited next:
    /// many small messages then go out in one write. Cancel-safe as `send` is.
    ///
    /// # Errors
    /// When the connection is closing or closed; the message is in the error.
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        let mut message = Some(message.into());
        poll_fn(|cx| {
            self.shared.poll(Side::Sender, cx, |inner, cx| {
                inner.poll_feed(cx, &mut message)
            })
        })
        .await
    }

    /// Waits until [`feed`](Self::feed) would not wait.
    pub(crate) async fn relieve(&mut self) {
        poll_fn(|cx| self.shared.poll(Side::Sender, cx, Inner::poll_relieve)).await;
    }

    /// Waits until all output has been handed to the stream, or the connection is over.
    /// Cancel-safe.
    pub async fn flush(&mut self) {
        poll_fn(|cx| self.shared.poll(Side::Sender, cx, Inner::poll_flush)).await;
    }

    /// Sends a Ping with at most 125 bytes of payload. The peer's answer is an [`Event::Pong`].
    /// Cancel-safe.
    ///
    /// # Errors
    /// When the connection is closing or closed, the payload is too long, or too many Pings wait.
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        self.shared.lock().driver.ping(payload)?;
        self.write().await;
        Ok(())
    }

    /// Starts the closing handshake and waits until the Close frame has been written. `None` sends
    /// it without a code. The receiving half gets what the peer still has to say, and then the end;
    /// if it has been dropped, this waits for the end of the connection itself. Cancel-safe: the
    /// Close frame is queued when it is first polled.
    pub async fn close(&mut self, frame: impl Into<Option<CloseFrame>>) {
        self.shared.lock().driver.close(frame.into());
        // The deadline that closing sets is for the receiving half to mind.
        self.shared.wakers.wake_side(Side::Receiver);
        poll_fn(|cx| self.shared.poll(Side::Sender, cx, Inner::poll_close)).await;
    }

    /// Writes what the stream takes at once.
    async fn write(&mut self) {
        poll_fn(|cx| {
            let _ = self.shared.poll(Side::Sender, cx, Inner::poll_flush);
            Poll::Ready(())
        })
        .await;
    }
}

impl<S> WebSocketReceiver<S> {
    /// How the connection ended, once it has.
    pub fn closure(&self) -> Option<Closure> {
        self.shared.lock().closure.clone()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketReceiver<S> {
    /// The next message; `None` after a clean close. Cancel-safe.
    ///
    /// # Errors
    /// Once, if the connection was lost or failed instead of being closed; after that it returns
    /// `None`.
    pub async fn next(&mut self) -> Result<Option<Message>, ConnectionError> {
        while let Some(event) = self.next_event().await {
            match event {
                Event::Message(message) => return Ok(Some(message)),
                Event::Closed(Closure {
                    error: Some(error), ..
                }) => return Err(error),
                Event::Closed(_) | Event::Ping(_) | Event::Pong(_) | Event::CloseReceived(_) => {}
            }
        }
        Ok(None)
    }

    /// The next event: also Pings (which are answered already), Pongs and the steps of the closing
    /// handshake. `None` when the connection is over. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        poll_fn(|cx| self.shared.poll(Side::Receiver, cx, Inner::poll_event)).await
    }
}

impl<S> Drop for WebSocketReceiver<S> {
    fn drop(&mut self) {
        self.shared.lock().receiver = Receiver::Gone;
        self.shared.wakers.wake_side(Side::Sender);
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("state", &self.state())
            .field("negotiated", &self.negotiated)
            .finish()
    }
}

impl<S> fmt::Debug for WebSocketSender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketSender")
            .field("state", &self.state())
            .finish()
    }
}

impl<S> fmt::Debug for WebSocketReceiver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketReceiver")
            .field("closure", &self.closure())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::protocol::{Config, Connection, Role};

    #[tokio::test]
    async fn a_failed_write_of_the_sender_wakes_the_receiver() {
        // Of this stream, the read half waits for ever and the write half is broken.
        let (input, _silent) = tokio::io::duplex(64);
        let (output, gone) = tokio::io::duplex(64);
        drop(gone);
        let stream = tokio::io::join(input, output);
        let socket = WebSocket::from(Established {
            driver: Driver::new(stream, Connection::new(Role::Client, Config::default())),
            negotiated: Negotiated {
                resource: "/".into(),
                host: String::new(),
                subprotocol: None,
                extensions: String::new(),
                headers: Headers::new(),
                peer_addr: None,
            },
        });
        let (mut sender, mut receiver) = socket.split();
        let receiving = tokio::spawn(async move { receiver.next().await });
        tokio::task::yield_now().await;
        sender.send("x").await.unwrap();
        let end = tokio::time::timeout(std::time::Duration::from_secs(10), receiving).await;
        assert!(matches!(
            end.unwrap().unwrap(),
            Err(ConnectionError::Transport(_))
        ));
    }
}
