//! [`Rooms`]: all rooms of a server, by name.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use we_net::WebSocket;
use we_net::protocol::{CloseCode, CloseFrame, CloseReason};

use crate::client::{self, Client};
use crate::elsewhere::Reach;
use crate::name::RoomName;
use crate::queue::SlowClients;
use crate::room::RoomSender;
use crate::runner::{Failure, Runner, contain};
use crate::shared::{Arrival, Counters, Seat, Shared};
use crate::supervisor;

/// What becomes of a room whose service fails: panics, crashes, exceeds a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// Its clients are closed with 1011, and the room is gone: who comes next has a fresh one.
    #[default]
    CloseClients,
    /// Its clients stay, and are told of to a fresh service as if they had just come. Lost are the message that it failed at, what had
    /// been given to it behind that (a service in another process may have been given much), and what those had said who went while there was
    /// none. If it fails again and again there are pauses between the attempts (0, 0.1, 0.5, 2, 5 s), and then its clients are closed as
    /// above. A service that has lived for a minute has the pauses anew.
    KeepClients,
}

/// Who hears of failures.
type OnProblem = Box<dyn Fn(&RoomName, &Failure) + Send + Sync>;

/// The rooms of a server. Cloned by pointer.
#[derive(Clone)]
pub struct Rooms(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) runner: Box<dyn Runner>,
    pub(crate) settings: Settings,
    pub(crate) counters: Arc<Counters>,
    /// How many supervisors there are.
    pub(crate) living: watch::Sender<usize>,
    on_problem: OnProblem,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    rooms: HashMap<RoomName, Arc<Shared>>,
    /// No room is made any more.
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) grace: Duration,
    pub(crate) max_rooms: usize,
    pub(crate) max_queue: usize,
    pub(crate) slow_clients: SlowClients,
    pub(crate) on_failure: OnFailure,
}

/// Puts [`Rooms`] together.
pub struct RoomsBuilder {
    runner: Box<dyn Runner>,
    settings: Settings,
    on_problem: OnProblem,
}

impl RoomsBuilder {
    /// How long an empty room is kept, if its place is not needed for another one before; 30 s unless set. Its service goes on meanwhile.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How many rooms there may be at a time; 1,000 unless set. If there are so many the one that has been empty for longest makes room for
    /// another one; if none is empty, who would need another one is closed with 1013.
    #[must_use]
    pub fn max_rooms(mut self, max_rooms: usize) -> Self {
        self.settings.max_rooms = max_rooms;
        self
    }

    /// How many bytes may wait for a client, each message with 64 more than its payload; 1 MiB unless set. One message
    /// that is longer may wait alone. Beside that, the connection has [`BackPressure`](we_net::protocol::BackPressure)'s 64 KiB. A message
    /// for everyone is one piece of memory, in however many queues it waits.
    #[must_use]
    pub fn max_queue(mut self, bytes: usize) -> Self {
        self.settings.max_queue = bytes;
        self
    }

    /// What becomes of a client for which more waits.
    #[must_use]
    pub fn slow_clients(mut self, policy: SlowClients) -> Self {
        self.settings.slow_clients = policy;
        self
    }

    /// What becomes of a room whose service fails.
    #[must_use]
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.settings.on_failure = policy;
        self
    }

    /// Has failures told to `tell`, and not to the log of `tracing`.
    #[must_use]
    pub fn on_problem(
        mut self,
        tell: impl Fn(&RoomName, &Failure) + Send + Sync + 'static,
    ) -> Self {
        self.on_problem = Box::new(tell);
        self
    }

    /// The rooms: none, at first.
    pub fn build(self) -> Rooms {
        Rooms(Arc::new(Inner {
            runner: self.runner,
            settings: self.settings,
            counters: Arc::default(),
            living: watch::Sender::new(0),
            on_problem: self.on_problem,
            table: Mutex::default(),
        }))
    }
}

impl fmt::Debug for RoomsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

/// Why a client cannot enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum JoinError {
    /// There are as many rooms as there may be.
    #[error("there are {max} rooms, and no more may be made")]
    TooManyRooms { max: usize },
    #[error("the server ends")]
    Over,
}

/// A room, for those who look on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RoomStatus {
    /// Its name.
    pub name: RoomName,
    /// How many clients of this server are in it.
    pub clients: usize,
    /// What has happened in it.
    pub totals: Totals,
}

/// What has happened in a room since it began, or in all rooms since the server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Messages from clients.
    pub received: u64,
    /// Messages to clients, counted for each of them.
    pub sent: u64,
    /// Messages that slow clients were not sent.
    pub skipped: u64,
    /// Clients that were closed for being slow.
    pub too_slow: u64,
    /// How often the service has failed.
    pub failures: u64,
}

impl Rooms {
    /// Rooms whose services `runner` runs: [`services`](crate::services) for those in Rust.
    pub fn builder(runner: impl Runner) -> RoomsBuilder {
        RoomsBuilder {
            runner: Box::new(runner),
            settings: Settings {
                grace: Duration::from_secs(30),
                max_rooms: 1000,
                max_queue: 1 << 20,
                slow_clients: SlowClients::default(),
                on_failure: OnFailure::default(),
            },
            on_problem: Box::new(|room, failure| {
                tracing::error!(target: "we::rooms", %room, "{failure}");
            }),
        }
    }

    /// Serves each connection in the room of its path, as [`RoomName::of_target`] says: what
    /// [`Server::serve`](we_net::Server::serve) is given. A path that is no room's is closed with 1008; have
    /// [`AcceptorBuilder::check`](we_net::server::AcceptorBuilder::check) reject it before.
    pub fn handler(&self) -> impl Fn(WebSocket) -> Serving + Send + Sync + 'static {
        let rooms = self.clone();
        move |socket| {
            let rooms = rooms.clone();
            Box::pin(async move {
                match RoomName::of_target(&socket.negotiated().resource) {
                    Ok(name) => rooms.serve(socket, &name).await,
                    Err(error) => refuse(socket, CloseCode::POLICY, &error).await,
                }
            })
        }
    }

    /// Serves one connection in a room, until it is over. The room is made if there is none of this name. Must be called in a
    /// runtime of tokio, which then runs the room's service, too: a room lives as long as the runtime of its first client at most.
    ///
    /// A service that is slow may have 4 MiB of headers of clients that have come wait for it; further ones wait outside.
    pub async fn serve(&self, socket: WebSocket, name: &RoomName) {
        match self.enter(&socket, name).await {
            Ok(seat) => client::serve(socket, seat).await,
            Err(error) => refuse(socket, CloseCode::TRY_AGAIN_LATER, &error).await,
        }
    }

    async fn enter(&self, socket: &WebSocket, name: &RoomName) -> Result<Seat, JoinError> {
        let negotiated = Arc::new(socket.negotiated().clone());
        let cost = Arrival::cost(Client::cost(&negotiated));
        let mut waited: Option<(Arc<Shared>, Arrival)> = None;
        loop {
            let room = {
                // Started when the table has been let go: a runtime that is about to end drops it at once, which looks there.
                let mut begun = None;
                let mut table = self.0.table();
                let room = match table.rooms.get(name) {
                    Some(room) => room.clone(),
                    None => {
                        self.make_room(&mut table)?;
                        let settings = &self.0.settings;
                        let (shared, room) = Shared::new(
                            name.clone(),
                            settings.max_queue,
                            settings.slow_clients,
                            self.0.counters.clone(),
                        );
                        table.rooms.insert(name.clone(), shared.clone());
                        begun = Some(supervisor::live(self.0.clone(), shared.clone(), room));
                        shared
                    }
                };
                let arrival = match waited.take() {
                    Some((other, arrival)) if Arc::ptr_eq(&other, &room) => Some(arrival),
                    _ => room.arrive(cost),
                };
                // Before the table is let go: until then the room is not taken for empty.
                let seat = arrival.map(|arrival| {
                    let negotiated = negotiated.clone();
                    room.enter(arrival, |id| Client::new(id, negotiated))
                });
                drop(table);
                if let Some(begun) = begun {
                    tokio::spawn(begun);
                }
                match seat {
                    Some(seat) => return Ok(seat),
                    None => room,
                }
            };
            // If that ends before, another one of its name is asked for.
            if let Some(arrival) = room.wait_to_arrive(cost).await {
                waited = Some((room, arrival));
            }
        }
    }

    /// Sees to it that there may be another room.
    fn make_room(&self, table: &mut Table) -> Result<(), JoinError> {
        if table.is_over {
            return Err(JoinError::Over);
        }
        let max = self.0.settings.max_rooms;
        if table.rooms.len() < max {
            return Ok(());
        }
        let empty = table.rooms.values();
        let empty = empty.filter_map(|room| Some((room.empty_since()?, room.clone())));
        let Some((_, oldest)) = empty.min_by_key(|(since, _)| *since) else {
            return Err(JoinError::TooManyRooms { max });
        };
        table.rooms.remove(oldest.name());
        oldest.close(None, Reach::Here);
        Ok(())
    }

    /// A room, if there is one of this name: for who has to say something to its clients from outside.
    pub fn get(&self, name: &RoomName) -> Option<RoomSender> {
        self.0.table().rooms.get(name).cloned().map(RoomSender)
    }

    /// Ends all rooms: their clients are closed with 1001, nobody can enter any more, and services are waited for, which have `within` and no
    /// longer than 10 s. To be called when the server has ended, so that services are told of the going of all clients.
    pub async fn end(&self, within: Duration) {
        let rooms = {
            let mut table = self.0.table();
            table.is_over = true;
            std::mem::take(&mut table.rooms)
        };
        for room in rooms.into_values() {
            room.close(Some(CloseCode::GOING_AWAY.into()), Reach::Here);
        }
        let mut living = self.0.living.subscribe();
        let _ = timeout(within, living.wait_for(|living| *living == 0)).await;
    }

    /// The rooms that there are, in the order of their names.
    pub fn list(&self) -> Vec<RoomStatus> {
        let mut list: Vec<_> = self
            .0
            .table()
            .rooms
            .values()
            .map(|room| RoomStatus {
                name: room.name().clone(),
                clients: room.clients(),
                totals: room.counters().totals(),
            })
            .collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// What has happened in all rooms, those that are gone included.
    pub fn totals(&self) -> Totals {
        self.0.counters.totals()
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms")
            .field("settings", &self.0.settings)
            .field("rooms", &self.0.table().rooms.len())
            .finish_non_exhaustive()
    }
}

/// A connection that is being served.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn refuse(mut socket: WebSocket, code: CloseCode, problem: &(dyn fmt::Display + Sync)) {
    let reason = CloseReason::truncated(&problem.to_string());
    socket.close(CloseFrame { code, reason }).await;
}

impl Counters {
    fn totals(&self) -> Totals {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        Totals {
            received: get(&self.received),
            sent: get(&self.sent),
            skipped: get(&self.skipped),
            too_slow: get(&self.too_slow),
            failures: get(&self.failures),
        }
    }
}

impl Inner {
    /// Whoever asks for a room of this name gets another one.
    pub(crate) fn forget(&self, room: &Arc<Shared>) {
        let rooms = &mut self.table().rooms;
        let is_there = rooms
            .get(room.name())
            .is_some_and(|other| Arc::ptr_eq(other, room));
        if is_there {
            rooms.remove(room.name());
        }
    }

    /// The same, if nobody is in it. Returns whether nobody was.
    pub(crate) fn forget_empty(&self, room: &Arc<Shared>) -> bool {
        let rooms = &mut self.table().rooms;
        let is_there = rooms
            .get(room.name())
            .is_some_and(|other| Arc::ptr_eq(other, room));
        let is_empty = room.is_empty();
        if is_there && is_empty {
            rooms.remove(room.name());
        }
        is_empty
    }

    pub(crate) fn tell(&self, room: &RoomName, failure: &Failure) {
        if !failure.cause.is_empty() {
            // Its panic is not the room's.
            let _ = contain(|| (self.on_problem)(room, failure));
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
