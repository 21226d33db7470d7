//! The life of a room: its service begins, may fail and be started again, and ends when the room has been empty for a while.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use we_net::protocol::{CloseCode, CloseFrame, CloseReason};

use crate::elsewhere::Reach;
use crate::room::Room;
use crate::rooms::{Inner, OnFailure};
use crate::runner::{Failure, Runner, contain};
use crate::shared::{Counters, Shared};

/// How long to wait before a service that has failed is started again while its clients stay; longer each time, unless it has lived for a
/// while. After the last one its clients are closed.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// A service that has lived for so long has not failed at once.
const A_WHILE: Duration = Duration::from_secs(60);

/// How long a service may take to end when its room has.
pub(crate) const TO_END: Duration = Duration::from_secs(10);

/// Lives a room.
pub(crate) fn live(
    inner: Arc<Inner>,
    shared: Arc<Shared>,
    room: Room,
) -> impl Future<Output = ()> + Send {
    // Also when the runtime ends before the room does, or before it has begun.
    inner.living.send_modify(|living| *living += 1);
    let ended = Ended { inner, shared };
    async move { go_on(&ended.inner, &ended.shared, room).await }
}

async fn go_on(inner: &Arc<Inner>, shared: &Arc<Shared>, mut room: Room) {
    let mut pauses = PAUSES.iter();
    loop {
        let began = Instant::now();
        let Err(failure) = run(inner, shared, &mut room).await else {
            return;
        };
        Counters::add(&shared.counters().failures, 1);
        Counters::add(&inner.counters.failures, 1);
        inner.tell(shared.name(), &failure);
        if began.elapsed() > A_WHILE {
            pauses = PAUSES.iter();
        }
        let pause = match inner.settings.on_failure {
            OnFailure::CloseClients => None,
            OnFailure::KeepClients => pauses.next(),
        };
        let Some(pause) = pause else {
            inner.forget(shared);
            let (code, reason) = match failure.is_temporary {
                true => (
                    CloseCode::TRY_AGAIN_LATER,
                    "the room's service cannot begin",
                ),
                false => (CloseCode::INTERNAL_ERROR, "the room's service failed"),
            };
            let reason = CloseReason::truncated(reason);
            let frame = CloseFrame { code, reason };
            shared.close(Some(frame), Reach::Everywhere);
            return;
        };
        tokio::select! {
            () = sleep(*pause) => {}
            () = shared.ended() => return,
        }
        room.begin_again();
    }
}

/// Runs a service, until it fails or its room ends.
async fn run(inner: &Inner, shared: &Arc<Shared>, room: &mut Room) -> Result<(), Failure> {
    let mut running = pin!(contained(&*inner.runner, room));
    let result = tokio::select! {
        result = &mut running => Some(result),
        () = empty(inner, shared) => None,
        () = shared.ended() => None,
    };
    match result {
        Some(Err(failure)) => Err(failure),
        Some(Ok(())) if shared.has_ended() => Ok(()),
        Some(Ok(())) => Err(Failure::new("the service has ended before its room")),
        // Nobody is there, and nobody can come any more.
        None => match timeout(TO_END, running).await {
            Ok(Err(failure)) => {
                inner.tell(shared.name(), &failure);
                Ok(())
            }
            Ok(Ok(())) => Ok(()),
            Err(_) => {
                let problem = format!(
                    "the service went on for {} s after its room",
                    TO_END.as_secs()
                );
                inner.tell(shared.name(), &Failure::new(problem));
                Ok(())
            }
        },
    }
}

/// Runs a service; its panic, or its runner's, is a failure.
async fn contained(runner: &dyn Runner, room: &mut Room) -> Result<(), Failure> {
    let mut running = contain(|| runner.run(room))?;
    poll_fn(|cx| match contain(|| running.as_mut().poll(cx)) {
        Ok(polled) => polled,
        Err(failure) => Poll::Ready(Err(failure)),
    })
    .await
}

/// Waits until the room has been empty for its grace time, and ends it.
async fn empty(inner: &Inner, shared: &Arc<Shared>) {
    let mut count = shared.watch();
    loop {
        // The sender is in what we have.
        let _ = count.wait_for(|count| *count == 0).await;
        let somebody = count.wait_for(|count| *count > 0);
        if timeout(inner.settings.grace, somebody).await.is_err() && inner.forget_empty(shared) {
            shared.close(None, Reach::Here);
            return;
        }
    }
}

struct Ended {
    inner: Arc<Inner>,
    shared: Arc<Shared>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.inner.forget(&self.shared);
        self.shared
            .close(Some(CloseCode::GOING_AWAY.into()), Reach::Here);
        self.inner.living.send_modify(|living| *living -= 1);
    }
}
