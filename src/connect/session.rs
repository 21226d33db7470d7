//! A conversation: what stdin says goes to the server, what the server says is printed, until one of them has ended.
//!
//! Sending and receiving are two futures of one task. Either may wait for the other end of its way, for the network or for
//! who reads stdout, without holding up the other: a server that sends back all that it gets could otherwise be
//! waited for for ever, since it waits too.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::pending,
    io,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::mpsc,
    time::{sleep_until, timeout},
};
use we_net::{
    Message,
    protocol::{CloseCode, CloseFrame, Closure, Event, State},
    socket::{WebSocketReceiver, WebSocketSender},
};

use super::{
    Linger,
    display::{self, Colours, Mark, Side, Style},
    input,
    printer::{Printer, To},
    source::{Item, Writer},
};

/// Pings of the user's that may wait for their answers.
const PINGS: usize = 16;

/// How long it may take to read what stdin has.
const MORE: Duration = Duration::from_millis(100);

/// What is said, and where.
pub(super) struct Options<'a> {
    pub(super) style: Style,
    /// Of notices, which go to stderr.
    pub(super) notices: Colours,
    /// Whether to print what is sent.
    pub(super) echo: bool,
    /// Whether to tell how the connection begins and ends.
    pub(super) tell: bool,
    /// Whether to tell of pings and pongs that the user has not asked for.
    pub(super) verbose: bool,
    pub(super) linger: Linger,
    pub(super) writer: Writer,
    pub(super) printer: &'a Printer,
}

/// What has ended a conversation.
pub(super) enum End {
    Over(Closure),
    Interrupted,
    OutputFailed(io::ErrorKind),
}

pub(super) struct Session<'a> {
    options: Options<'a>,
    /// Who began to close the connection.
    closed_by: Cell<Option<Side>>,
    /// Since when nothing has arrived; `None` while a message is being printed.
    quiet_since: Cell<Option<Instant>>,
    /// The user's pings that have not been answered: payload, and when each was sent.
    pings: RefCell<Vec<(Vec<u8>, Instant)>>,
    /// How many of them had no payload of the user's.
    numbered: Cell<u64>,
    /// Whether something that stdin has said is not on its way.
    unsent: Cell<bool>,
    /// What went wrong on this side.
    problem: RefCell<Option<String>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(options: Options<'a>) -> Self {
        Self {
            options,
            closed_by: Cell::new(None),
            quiet_since: Cell::new(Some(Instant::now())),
            pings: RefCell::default(),
            numbered: Cell::new(0),
            unsent: Cell::new(false),
            problem: RefCell::default(),
        }
    }

    /// Talks until the connection is over.
    pub(super) async fn run(
        &self,
        sender: &mut WebSocketSender,
        receiver: &mut WebSocketReceiver,
        mut input: mpsc::Receiver<Vec<Item>>,
    ) -> End {
        let talk = async {
            self.talk(sender, &mut input).await;
            pending::<Infallible>().await
        };
        let closure = tokio::select! {
            closure = self.listen(receiver) => closure,
            never = talk => match never {},
        };
        if self.options.writer == Writer::Program
            && self.closed_by() == Side::Server
            && self.has_more(&mut input).await
        {
            let problem = "the connection ended before all of standard input was sent";
            self.problem.replace(Some(problem.to_owned()));
        }
        End::Over(closure)
    }

    /// Whether stdin has said more than was sent. One that is open and silent has not.
    async fn has_more(&self, input: &mut mpsc::Receiver<Vec<Item>>) -> bool {
        self.unsent.get() || matches!(timeout(MORE, input.recv()).await, Ok(Some(_)))
    }

    /// Which end began the closing handshake that is over.
    pub(super) fn closed_by(&self) -> Side {
        self.closed_by.get().unwrap_or(Side::Server)
    }

    /// What went wrong on this side, if something did.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    /// Whether the user is told how the connection begins and ends.
    pub(super) fn tells(&self) -> bool {
        self.options.tell
    }

    /// Tells of the connection's beginning or end, if the user wants to hear of it.
    pub(super) async fn tell(&self, text: &str) {
        if self.options.tell {
            self.notice(text).await;
        }
    }

    /// Tells what has gone wrong, as all commands do.
    pub(super) async fn fail(&self, problem: &str) {
        let line = display::complaint(problem);
        self.options.printer.print(To::Stderr, line).await;
    }

    async fn notice(&self, text: &str) {
        let line = display::notice(text, SystemTime::now(), self.options.notices);
        self.options.printer.print(To::Stderr, line).await;
    }

    async fn message(&self, mark: Mark, message: &Message) {
        let text = display::message(&self.options.style, mark, message, SystemTime::now());
        self.options.printer.print(To::Stdout, text).await;
    }

    /// Receives until the connection is over.
    async fn listen(&self, receiver: &mut WebSocketReceiver) -> Closure {
        while let Some(event) = receiver.next_event().await {
            match event {
                Event::Message(message) => {
                    self.quiet_since.set(None);
                    self.message(Mark::Received, &message).await;
                    self.quiet_since.set(Some(Instant::now()));
                }
                Event::Ping(payload) if self.options.verbose => {
                    self.notice(&display::ping(&payload)).await;
                }
                Event::Ping(_) => {}
                Event::Pong(payload) => self.pong(&payload).await,
                Event::CloseReceived(_) => {
                    if self.closed_by.get().is_none() {
                        self.closed_by.set(Some(Side::Server));
                    }
                }
                Event::Closed(closure) => return closure,
            }
        }
        // The event before says that it is over, and is returned above.
        pending().await
    }

    /// Tells of a Pong that the user waits for, or of all.
    async fn pong(&self, payload: &[u8]) {
        let sent = {
            let mut pings = self.pings.borrow_mut();
            let place = pings.iter().position(|(ping, _)| ping == payload);
            place.map(|place| pings.remove(place).1)
        };
        if sent.is_some() || self.options.verbose {
            let after = sent.map(|sent| sent.elapsed());
            self.notice(&display::pong(payload, after)).await;
        }
    }

    /// Sends what stdin says; after its end waits for replies, and closes the connection.
    async fn talk(&self, sender: &mut WebSocketSender, input: &mut mpsc::Receiver<Vec<Item>>) {
        while let Some(batch) = input.recv().await {
            self.unsent.set(true);
            for item in batch {
                if self.obey(sender, item).await == Then::Stop {
                    return;
                }
            }
            sender.flush().await;
            // A connection that is over has nothing to flush either.
            self.unsent.set(sender.state() != State::Open);
        }
        self.linger().await;
        self.close(sender, CloseCode::NORMAL.into()).await;
    }

    async fn obey(&self, sender: &mut WebSocketSender, item: Item) -> Then {
        match item {
            Item::Message(message) => {
                if self.options.echo {
                    self.message(Mark::Sent, &message).await;
                }
                if sender.feed(message).await.is_err() {
                    if self.options.writer == Writer::Person {
                        let problem = "this was not sent: the connection is closing";
                        self.notice(problem).await;
                    }
                    return Then::Stop;
                }
            }
            Item::Ping(payload) => self.ping(sender, payload).await,
            Item::Close(frame) => {
                self.close(sender, frame).await;
                return Then::Stop;
            }
            Item::Help => self.notice(input::HELP).await,
            Item::Complaint(problem) => self.notice(&problem).await,
            Item::Failure(problem) => {
                self.problem.replace(Some(problem));
                self.close(sender, CloseCode::NORMAL.into()).await;
                return Then::Stop;
            }
        }
        Then::GoOn
    }

    async fn ping(&self, sender: &mut WebSocketSender, payload: Option<Vec<u8>>) {
        let payload = payload.unwrap_or_else(|| {
            self.numbered.set(self.numbered.get() + 1);
            self.numbered.get().to_string().into()
        });
        {
            let mut pings = self.pings.borrow_mut();
            if pings.len() == PINGS {
                pings.remove(0);
            }
            pings.push((payload.clone(), Instant::now()));
        }
        if let Err(refusal) = sender.ping(&payload).await {
            self.notice(&format!("no ping was sent: {refusal}")).await;
        }
    }

    async fn close(&self, sender: &mut WebSocketSender, frame: CloseFrame) {
        if self.closed_by.get().is_none() {
            self.closed_by.set(Some(Side::Here));
        }
        sender.close(Some(frame)).await;
    }

    /// Waits until nothing has arrived for as long as the user wants.
    async fn linger(&self) {
        let Linger::For(time) = self.options.linger else {
            return pending().await;
        };
        let end = Instant::now();
        loop {
            let now = Instant::now();
            // Time in which nobody reads what has arrived is not quiet.
            let since = self.quiet_since.get().unwrap_or(now).max(end);
            let until = since + time;
            if until <= now {
                return;
            }
            sleep_until(until.into()).await;
        }
    }
}

/// Whether there is more to be sent.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Stop,
}
