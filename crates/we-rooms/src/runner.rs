//! [`Runner`]: who runs the services of rooms.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::name::RoomName;
use crate::room::{Event, Room};
use crate::service::{Context, Service};

/// Runs services: one for each room. Implement this for services that are something else than a [`Service`], in other
/// processes say.
pub trait Runner: Send + Sync + 'static {
    /// Runs the service of a room from its beginning until [`Room::next`] returns `None`. It may then take 10 s to end; whatever
    /// it does later is cut off. Before a client is told of it is to be [admitted](crate::RoomSender::admit).
    /// While it ends there may already be another service of a new room of the same name.
    ///
    /// # Errors
    /// The service has failed.
    fn run<'a>(&'a self, room: &'a mut Room) -> Running<'a>;
}

/// A service that runs.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// A service has failed, and cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    /// Why, for whoever operates the server. Empty if that has been told already.
    pub cause: String,
    /// It has not begun at all, and may another time: its clients are closed with 1013 and not with 1011.
    pub is_temporary: bool,
}

impl Failure {
    /// A failure.
    pub fn new(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            is_temporary: false,
        }
    }

    /// A failure of a service that cannot begin now, and may another time.
    pub fn temporary(cause: impl Into<String>) -> Self {
        Self {
            is_temporary: true,
            ..Self::new(cause)
        }
    }

    fn of_panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Self::new(format!("the service panicked: {text}"))
    }
}

/// Runs services in Rust: one that `factory` makes for each room.
pub fn services<S: Service>(
    factory: impl Fn(&RoomName) -> S + Send + Sync + 'static,
) -> impl Runner {
    Services(factory)
}

struct Services<F>(F);

impl<S: Service, F: Fn(&RoomName) -> S + Send + Sync + 'static> Runner for Services<F> {
    fn run<'a>(&'a self, room: &'a mut Room) -> Running<'a> {
        Box::pin(async move {
            let service = contain(|| (self.0)(room.name()))?;
            let mut service = Contained(Some(service));
            let mut timer = Timer::default();
            service.call(room, &mut timer, |service, ctx| service.init(ctx))?;
            loop {
                let event = tokio::select! {
                    event = room.next() => event,
                    () = timer.wait() => {
                        service.call(room, &mut timer, |service, ctx| service.timer(ctx))?;
                        continue;
                    }
                };
                let Some(event) = event else {
                    return service.end();
                };
                if let Event::Connect(client) = &event {
                    room.admit(client.id());
                }
                service.call(room, &mut timer, |service, ctx| match event {
                    Event::Connect(client) => service.connect(&client, ctx),
                    Event::Message(client, message) => service.message(client, message, ctx),
                    Event::Disconnect(client) => service.disconnect(client, ctx),
                })?;
            }
        })
    }
}

pub(crate) fn contain<T>(function: impl FnOnce() -> T) -> Result<T, Failure> {
    // Nobody sees the service after a panic.
    catch_unwind(AssertUnwindSafe(function)).map_err(|panic| Failure::of_panic(&*panic))
}

/// A service whose panics are failures, also when it is dropped.
struct Contained<S>(Option<S>);

impl<S: Service> Contained<S> {
    fn call(
        &mut self,
        room: &Room,
        timer: &mut Timer,
        function: impl FnOnce(&mut S, &mut Context<'_>),
    ) -> Result<(), Failure> {
        let Some(service) = &mut self.0 else {
            return Ok(());
        };
        contain(|| function(service, &mut Context::new(room, timer)))
    }

    fn end(&mut self) -> Result<(), Failure> {
        let service = self.0.take();
        contain(|| drop(service))
    }
}

impl<S> Drop for Contained<S> {
    fn drop(&mut self) {
        let service = self.0.take();
        let _ = contain(|| drop(service));
    }
}

/// The timer of a service.
#[derive(Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    pub(crate) fn set(&mut self, after: Duration) {
        match &mut self.0 {
            Some(sleep) => {
                let now = Instant::now();
                // Some thirty years.
                let never = now + Duration::from_secs(86400 * 365 * 30);
                sleep
                    .as_mut()
                    .reset(now.checked_add(after).unwrap_or(never));
            }
            None => self.0 = Some(Box::pin(sleep(after))),
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// Waits until it has run out, and clears it. For ever if it is not set. Cancel-safe.
    pub(crate) async fn wait(&mut self) {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().await,
            None => std::future::pending().await,
        }
        self.clear();
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = self.0.as_ref().map(|sleep| sleep.deadline());
        f.debug_tuple("Timer").field(&after).finish()
    }
}
