//! [`Handler`]: a server as a type with functions for what happens to a connection, one value of it for each.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;

use crate::protocol::{
    CloseCode, CloseFrame, CloseReason, Closure, Event, Message, Refusal, SendError, State,
};
use crate::socket::{Negotiated, Shared, WebSocket};
use crate::transport::Stream;

/// What a server does with a connection. Each connection has a handler of its own, which is made when it opens and
/// dropped when it has ended.
///
/// The functions are called one after the other, in the order in which things happen. They must not block, nor compute for
/// long: the connections of a thread wait meanwhile. What takes time belongs into a task, to which a clone of the [`Connection`]
/// can be given.
///
/// A handler that panics loses its own connection, which is closed with 1011, and nothing else.
///
/// ```
/// use we_net::Message;
/// use we_net::server::{Connection, Handler, Server, handlers};
///
/// /// Numbers the messages that it sends back.
/// #[derive(Default)]
/// struct Counter(u64);
///
/// impl Handler for Counter {
///     fn message(&mut self, connection: &Connection, message: Message) {
///         self.0 += 1;
///         if let Message::Text(text) = message {
///             // An error means that the connection is closing: there is nobody to tell.
///             let _ = connection.send(format!("{}: {}", self.0, &*text));
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder().bind("127.0.0.1:0").await?;
/// let url = server.url();
/// tokio::spawn(server.serve(handlers(|_| Counter::default())));
///
/// let mut socket = we_net::connect(&url).await?;
/// socket.send("hello").await?;
/// socket.send("again").await?;
/// assert_eq!(socket.next().await?, Some("1: hello".into()));
/// assert_eq!(socket.next().await?, Some("2: again".into()));
/// # Ok(())
/// # }
/// ```
pub trait Handler: Send + 'static {
    /// The connection is open.
    fn open(&mut self, connection: &Connection) {
        let _ = connection;
    }

    /// A message has arrived. The next one is read when what waits to be sent to this peer is no more than
    /// [`BackPressure::high_water`](crate::protocol::BackPressure::high_water).
    fn message(&mut self, connection: &Connection, message: Message);

    /// The connection has ended. Nothing can be sent any more.
    fn close(&mut self, connection: &Connection, closure: &Closure) {
        let _ = (connection, closure);
    }
}

/// A connection, for its [`Handler`] and for whoever it gives a clone of it. It does not keep the connection open: where the server
/// drops the handler (its time to end is over), nothing can be sent any more.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared<Stream>>,
    negotiated: Arc<Negotiated>,
}

impl Connection {
    /// Queues a message, which goes out when the functions of the handler have returned. It never waits: look at
    /// [`buffered_amount`](Self::buffered_amount) before much is sent to somebody who may be slow.
    ///
    /// # Errors
    /// When the connection is closing or closed, or more waits than
    /// [`Limits::max_pending_output`](crate::protocol::Limits::max_pending_output). The message is in the error.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.shared.queue(message.into())
    }

    /// Sends a Ping with at most 125 bytes of payload, ahead of the messages that wait.
    ///
    /// # Errors
    /// When the connection is closing or closed, the payload is too long, or too many Pings wait.
    pub fn ping(&self, payload: &[u8]) -> Result<(), Refusal> {
        self.shared.ping(payload)
    }

    /// Starts the closing handshake, after the messages that were sent. `None` sends no code. Does nothing once it has begun.
    pub fn close(&self, frame: impl Into<Option<CloseFrame>>) {
        self.shared.queue_close(frame.into());
    }

    /// How many bytes of payload wait to be written.
    pub fn buffered_amount(&self) -> u64 {
        self.shared.buffered_amount()
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.shared.state()
    }

    /// What was agreed on in the opening handshake: path, headers, subprotocol.
    pub fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// The address of the peer, where the stream has one.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.negotiated.peer_addr
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("negotiated", &self.negotiated)
            .finish_non_exhaustive()
    }
}

/// Has each connection handled by what `factory` makes for it: what [`Server::serve`](super::Server::serve) and
/// [`Server::serve_on_threads`](super::Server::serve_on_threads) are given. See [`Handler`].
pub fn handlers<H: Handler>(
    factory: impl Fn(&Connection) -> H + Send + Sync + 'static,
) -> impl Fn(WebSocket) -> Handling + Send + Sync + 'static {
    let factory = Arc::new(factory);
    move |socket| Box::pin(handle(socket, Arc::clone(&factory)))
}

/// A connection that is being handled.
type Handling = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn handle<H, F>(socket: WebSocket, factory: Arc<F>)
where
    H: Handler,
    F: Fn(&Connection) -> H + Send + Sync,
{
    let connection = Connection {
        shared: Arc::clone(socket.shared()),
        negotiated: Arc::new(socket.negotiated().clone()),
    };
    let (mut sender, mut receiver) = socket.split();
    let _ended = Ended(&connection);
    let mut contained = Contained {
        connection: &connection,
        handler: None,
    };
    contained.begin(&*factory);
    while let Some(event) = receiver.next_event().await {
        match event {
            Event::Message(message) => {
                contained.call(|handler, connection| handler.message(connection, message));
                // A peer that sends and does not read is not read from either.
                sender.relieve().await;
            }
            Event::Closed(closure) => {
                contained.call(|handler, connection| handler.close(connection, &closure));
            }
            Event::CloseReceived(_) | Event::Ping(_) | Event::Pong(_) => {}
        }
    }
    contained.end();
}

/// Sees to it that the connection ends with its handler, whoever has a clone of it.
struct Ended<'a>(&'a Connection);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.shared.let_go();
    }
}

/// A handler whose panics end its connection.
struct Contained<'a, H> {
    connection: &'a Connection,
    /// `None` once it has panicked.
    handler: Option<H>,
}

impl<H: Handler> Contained<'_, H> {
    fn begin(&mut self, factory: impl Fn(&Connection) -> H) {
        let connection = self.connection;
        match catch_unwind(AssertUnwindSafe(|| factory(connection))) {
            Ok(handler) => self.handler = Some(handler),
            Err(panic) => self.panicked(&*panic),
        }
        self.call(|handler, connection| handler.open(connection));
    }

    fn call(&mut self, function: impl FnOnce(&mut H, &Connection)) {
        let connection = self.connection;
        let Some(handler) = &mut self.handler else {
            return;
        };
        // Nobody sees the handler after a panic.
        let called = catch_unwind(AssertUnwindSafe(|| function(handler, connection)));
        if let Err(panic) = called {
            self.panicked(&*panic);
            self.end();
        }
    }

    /// Drops the handler.
    fn end(&mut self) {
        let handler = self.handler.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(handler))) {
            self.panicked(&*panic);
        }
    }

    fn panicked(&self, panic: &(dyn Any + Send)) {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let peer = self.connection.peer_addr();
        tracing::error!(target: "we::net", ?peer, "a handler panicked: {text}");
        self.connection.close(CloseFrame {
            code: CloseCode::INTERNAL_ERROR,
            reason: CloseReason::truncated("the handler failed"),
        });
    }
}
