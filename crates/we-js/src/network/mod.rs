//! The network half of an agent: connections as tasks, driven by the loop's own thread while it waits.
//!
//! [`Network`] owns a tokio runtime. When the loop has nothing to do, its thread drives that runtime in
//! [`Network::wait`]; when a script runs for long, the [standby](standby) thread does. The loop cannot tell the difference:
//! between a connection's [task](socket_task) and the loop stands a [channel] pair.
//!
//! | module | what it holds |
//! |---|---|
//! | [`channel`] | commands, events, their queues, the receive limit |
//! | [`shared`] | who drives, and which sockets are open |
//! | [`socket_task`] | the task of a connection |
//! | [`standby`] | the standby thread |
//! | [`dial`] | how a connection is established |

mod channel;
mod dial;
mod shared;
mod socket_task;
mod standby;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tracing::Instrument as _;
use url::Origin;
use we_net::Client;
use we_net::handshake::WebSocketUrl;
use we_net::protocol::{CloseFrame, Message};
use we_net::transport::ConnectError;

pub(crate) use self::channel::{Arrivals, Closed, Delivering, Delivery, SocketEvent, SocketId};
pub(crate) use self::dial::{Dial, Opened};
pub(crate) use self::shared::Shared;

use self::channel::{Channel, Command, ReadOn, Taken};
use self::standby::Standby;

/// The connections of a loop, and the loop's wait.
pub(crate) struct Network {
    /// `None` while the network [sleeps](Self::sleep), and while it is dropped.
    runtime: RefCell<Option<Arc<Runtime>>>,
    shared: Arc<Shared>,
    standby: RefCell<Option<Standby>>,
    /// Sockets whose last event has not been delivered.
    live: Cell<usize>,
}

impl Network {
    pub(crate) fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let network = Self {
            runtime: RefCell::default(),
            shared,
            standby: RefCell::default(),
            live: Cell::new(0),
        };
        network.awaken()?;
        Ok(network)
    }

    /// Ends all that the network has of the operating system: descriptors to wait at, threads for what blocks. For a
    /// process that forks: both halves of it would wait at the same descriptors, and only one would have the threads. There
    /// must be no sockets. [`awaken`](Self::awaken) makes all of it anew; nothing may be asked of the network before.
    pub(crate) fn sleep(&self) {
        debug_assert!(!self.has_live_sockets() && self.standby.borrow().is_none());
        // Not in the background: when this returns, the threads have gone.
        self.runtime.take();
    }

    /// Makes a new runtime.
    ///
    /// # Errors
    /// If the operating system gives no means to wait for I/O.
    pub(crate) fn awaken(&self) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        self.runtime.replace(Some(Arc::new(runtime)));
        Ok(())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn runtime(&self) -> Option<Arc<Runtime>> {
        self.runtime.borrow().clone()
    }

    /// Opens a socket. Its events come to the loop, the last of them [`SocketEvent::Closed`]; until that has been
    /// delivered, the socket keeps the loop running.
    pub(crate) fn connect(&self, dial: impl Dial, delivery: Delivery) -> SocketHandle {
        self.start_standby();
        self.connect_without_standby(dial, delivery)
    }

    /// The same for a socket that need not be looked after while a script keeps the loop's thread busy.
    pub(crate) fn connect_without_standby(
        &self,
        dial: impl Dial,
        delivery: Delivery,
    ) -> SocketHandle {
        let channel = Channel::new(delivery);
        self.live.set(self.live.get() + 1);
        if !self.shared.add(&channel) {
            // The loop goes away: the task will find this and give up before it dials.
            channel.push(Command::Fail);
        }
        // Log lines of a socket carry the span that it was opened in: its URL.
        let task = socket_task::run(dial, channel.clone(), self.shared.clone()).in_current_span();
        if let Some(runtime) = self.runtime() {
            runtime.spawn(task);
        }
        SocketHandle {
            channel,
            shared: self.shared.clone(),
        }
    }

    /// Opens a socket to a URL: [establish a WebSocket connection](https://websockets.spec.whatwg.org/#concept-websocket-establish).
    ///
    /// # Errors
    /// Fails at once, without a socket, for subprotocols that cannot be asked for. Everything else that can go wrong is
    /// told by [`SocketEvent::Closed`].
    pub(crate) fn open(
        &self,
        url: &WebSocketUrl,
        subprotocols: impl IntoIterator<Item = String>,
        delivery: Delivery,
        client: &Client,
        origin: Option<&Origin>,
    ) -> Result<SocketHandle, ConnectError> {
        let span = tracing::info_span!(target: "we::net", "socket", url = dial::shown_url(url));
        let mut request = client.request(url.clone())?.subprotocols(subprotocols)?;
        if let Some(origin) = origin {
            request = request.origin(origin.ascii_serialization())?;
        }
        Ok(span.in_scope(|| self.connect(request, delivery)))
    }

    /// The standby thread is started with the first socket: most scripts of a shell have none.
    fn start_standby(&self) {
        let mut standby = self.standby.borrow_mut();
        if standby.is_some() {
            return;
        }
        let Some(runtime) = self.runtime() else {
            return;
        };
        match Standby::start(runtime, self.shared.clone()) {
            Ok(started) => *standby = Some(started),
            // Everything still works, but a long script holds up its connections.
            Err(error) => {
                tracing::error!(target: "we::net", %error, "cannot start the standby thread");
            }
        }
    }

    /// Whether a socket lives, so that the loop has to run on.
    pub(crate) fn has_live_sockets(&self) -> bool {
        self.live.get() > 0
    }

    /// Whether a connection is open or being opened.
    pub(crate) fn has_open_sockets(&self) -> bool {
        self.shared.has_open_sockets()
    }

    /// Takes out the oldest event, to be delivered now; then call [`has_told`](Self::has_told).
    pub(crate) fn take_arrival(
        &self,
        arrivals: &mut Arrivals,
    ) -> Option<(Delivering, SocketEvent)> {
        let Taken {
            id,
            event,
            whole,
            read_on,
        } = arrivals.take_first()?;
        if let Some(channel) = read_on {
            self.shared.nudge(&channel);
        }
        if matches!(event, SocketEvent::Closed(_)) {
            self.live.set(self.live.get() - 1);
        }
        Some((Delivering { id, whole }, event))
    }

    /// Takes out events that no script will be told of.
    pub(crate) fn drop_arrivals(&self, mut arrivals: Arrivals) {
        while let Some((delivering, _)) = self.take_arrival(&mut arrivals) {
            self.has_told(delivering);
        }
    }

    /// The script has been told: what it wanted to answer is on its way. A task hears of whole batches: it waits for the
    /// last event, if for any.
    pub(crate) fn has_told(&self, delivering: Delivering) {
        if let Some((channel, events)) = delivering.whole
            && channel.count_told(events)
        {
            self.shared.nudge(&channel);
        }
    }

    /// Waits for mail or for the deadline, whichever comes first, and drives the network meanwhile.
    pub(crate) fn wait(&self, deadline: Option<Instant>) {
        let Some(runtime) = self.runtime() else {
            return;
        };
        let shared = &self.shared;
        let _presence = Presence::at(shared);
        runtime.block_on(async {
            let arrival = async {
                // From in here, waking a task is no system call.
                shared.flush();
                shared.mailbox.arrival().await;
            };
            match deadline {
                None => arrival.await,
                Some(deadline) => {
                    // Which of the two it was, the caller sees for itself.
                    let _ = tokio::time::timeout_at(deadline.into(), arrival).await;
                }
            }
        });
    }

    /// Drives the network until one of two futures is ready, for a script that waits in the middle of a task. `None` if it
    /// is the second.
    pub(crate) fn drive_until<F: Future>(
        &self,
        future: F,
        end: impl Future<Output = ()>,
    ) -> Option<F::Output> {
        let runtime = self.runtime()?;
        let _presence = Presence::at(&self.shared);
        runtime.block_on(async {
            self.shared.flush();
            tokio::select! {
                biased;
                () = end => None,
                output = future => Some(output),
            }
        })
    }

    /// Lets the network make what progress it can without waiting: for a loop that has more to do at once.
    pub(crate) fn pass_by(&self) {
        if self.shared.standby_drives() {
            return;
        }
        let Some(runtime) = self.runtime() else {
            return;
        };
        let mut passes = 0;
        runtime.block_on(poll_fn(|cx| {
            self.shared.flush();
            if passes == 1 {
                return Poll::Ready(());
            }
            passes += 1;
            // Polled again after the tasks that are ready and a look at the sockets.
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        self.shared.loop_passed_by();
    }

    /// The same, if a script has asked anything of a connection since the network was last driven.
    pub(crate) fn pass_by_with_commands(&self) {
        if self.shared.has_commands() {
            self.pass_by();
        }
    }

    /// Closes every connection with 1001 for a loop that will not run again. Does not wait for the peers' answers.
    pub(crate) fn abandon(&self) {
        if self.has_open_sockets() {
            self.shared.go_away();
            // The standby drives, or we do.
            self.pass_by();
        }
    }

    /// Runs `steps`, which may use the runtime's sockets and timers.
    pub(crate) fn within<R>(&self, steps: impl FnOnce() -> R) -> R {
        let runtime = self.runtime();
        let _entered = runtime.as_ref().map(|runtime| runtime.enter());
        steps()
    }
}

/// The loop's thread at the network, until this is dropped: also when `block_on` panics, as it does within another
/// runtime.
struct Presence<'a>(&'a Shared);

impl<'a> Presence<'a> {
    fn at(shared: &'a Shared) -> Self {
        shared.loop_arrives();
        Self(shared)
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.0.loop_leaves();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(standby) = self.standby.take() {
            standby.stop(&self.shared);
        }
        self.abandon();
        if let Some(runtime) = self.runtime.take().and_then(Arc::into_inner) {
            // Not a plain drop, which would wait for a name look-up that hangs.
            runtime.shutdown_background();
        }
    }
}

/// JavaScript's side of a socket. Dropping it closes the connection.
pub(crate) struct SocketHandle {
    channel: Arc<Channel>,
    shared: Arc<Shared>,
}

impl SocketHandle {
    /// The name under which the socket's events come.
    pub(crate) fn id(&self) -> SocketId {
        self.channel.id()
    }

    /// Sends a message. To be called once the socket is open; ignored when it is closing.
    pub(crate) fn send(&self, message: Message) {
        self.shared.push(&self.channel, Command::Send(message));
    }

    /// [Starts the closing handshake](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2), after the messages that were
    /// sent. While connecting, gives up the attempt.
    pub(crate) fn close(&self, frame: Option<CloseFrame>) {
        self.shared.push(&self.channel, Command::Close(frame));
    }

    /// [Fails the connection](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7) without another word to the peer.
    /// While connecting, gives up the attempt.
    pub(crate) fn fail(&self) {
        self.shared.push(&self.channel, Command::Fail);
    }

    /// Sends a Ping. To be called once the socket is open; ignored when it is closing, or too many wait.
    pub(crate) fn ping(&self, payload: Vec<u8>) {
        self.shared.push(&self.channel, Command::Ping(payload));
    }

    /// Says that the script has taken a message of a connection whose messages are [pulled](Delivery::Pulled). To be called
    /// once for each of them.
    pub(crate) fn taken(&self, message: &Message) {
        if self.channel.taken(message) == ReadOn::Yes {
            self.shared.nudge(&self.channel);
        }
    }

    /// Asks for [`SocketEvent::Flushed`] when so many payload bytes of all that was sent have reached the network, which may
    /// be the case already. It does not come if the connection ends before.
    pub(crate) fn tell_when_flushed(&self, bytes: u64) {
        self.shared
            .push(&self.channel, Command::TellWhenFlushed(bytes));
    }

    /// How many payload bytes of the messages that were sent have reached the network. It only grows, but not past what
    /// the connection had accepted when it ended.
    pub(crate) fn flushed_bytes(&self) -> u64 {
        self.channel.flushed()
    }
}

/// <https://websockets.spec.whatwg.org/#garbage-collection>: a socket that nobody refers to any more starts the closing
/// handshake without a status code. A connection that is closed ignores it.
impl Drop for SocketHandle {
    fn drop(&mut self) {
        self.shared.push(&self.channel, Command::Close(None));
    }
}
