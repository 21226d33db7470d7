//! [`Clustered`]: runs the service of a room if this node is to, and otherwise carries what happens to whoever does.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::lease::Term;
use super::place::{Place, Role};
use super::{Cluster, jittered};
use crate::room::Room;
use crate::runner::{Failure, Runner, Running};

/// How long a service may take to end when the room gets another one elsewhere. Its clients wait.
const TO_END: Duration = Duration::from_secs(5);

pub(crate) struct Clustered<R> {
    cluster: Cluster,
    inner: R,
}

impl<R: Runner> Clustered<R> {
    pub(crate) fn new(cluster: Cluster, inner: R) -> Self {
        Self { cluster, inner }
    }

    /// Runs the service, until the room is followed or has ended.
    async fn serve(
        &self,
        place: &Place,
        room: &mut Room,
        role: &mut watch::Receiver<Role>,
    ) -> Result<Served, Failure> {
        let turn = room.next_turn();
        let mut running = pin!(self.inner.run(room));
        tokio::select! {
            result = &mut running => return result.map(|()| Served::Ended),
            // The sender is in what we have.
            _ = role.wait_for(|role| matches!(role, Role::Follow(..))) => {}
        }
        place.shared().pause(turn);
        match timeout(TO_END, running).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                tracing::warn!(target: "we::cluster", room = %place.name(), "the service failed when it was to end: {failure}");
            }
            Err(_) => {
                tracing::warn!(target: "we::cluster", room = %place.name(), "the service did not end for {} s, and was cut off", TO_END.as_secs());
            }
        }
        Ok(Served::Paused)
    }
}

enum Served {
    /// By itself, or because its room has.
    Ended,
    /// Another node has the room.
    Paused,
}

impl<R: Runner> Runner for Clustered<R> {
    fn run<'a>(&'a self, room: &'a mut Room) -> Running<'a> {
        Box::pin(async move {
            if room.cluster.is_none() {
                room.cluster = Place::take(self.cluster.node(), room.sender());
            }
            let place = room.cluster.as_ref().map(|held| held.0.clone());
            let Some(place) = place else {
                // It ended before it began.
                while room.next().await.is_some() {}
                return Ok(());
            };
            let mut role = place.role();
            loop {
                let now = *role.borrow_and_update();
                match now {
                    Role::Undecided => {
                        // The sender is in what we have.
                        let _ = role.changed().await;
                    }
                    Role::Serve => {
                        room.begin_again();
                        match self.serve(&place, room, &mut role).await? {
                            Served::Ended => return Ok(()),
                            // If it has not taken it, nobody shall.
                            Served::Paused => room.next_turn(),
                        };
                        if room.has_ended() {
                            return Ok(());
                        }
                    }
                    Role::Follow(term, _) => follow(&place, room, term, &mut role).await,
                    Role::Over => {
                        while room.next().await.is_some() {}
                        return Ok(());
                    }
                }
            }
        })
    }
}

/// Carries what happens to the owner of a term, until the role changes.
async fn follow(place: &Place, room: &mut Room, term: Term, role: &mut watch::Receiver<Role>) {
    let following = &place.following;
    let link = &place.node.link;
    let beat = link.options.beat();
    let stop = async {
        let _ = role.changed().await;
    };
    let mut stop = pin!(stop);
    let mut began = Instant::now();
    loop {
        room.begin_again();
        following.join(link, term);
        let mut patience = beat;
        while !following.has_joined() {
            tokio::select! {
                () = &mut stop => return following.stop(link),
                () = following.turned.notified() => {}
                () = sleep(patience) => {
                    // It may be that only the way is long.
                    patience = (patience * 2).min(place.lease());
                    place.look_again();
                    following.join(link, term);
                }
            }
        }
        loop {
            let next = async {
                link.ready().await;
                room.take().await
            };
            tokio::select! {
                biased;
                () = &mut stop => return following.stop(link),
                () = following.turned.notified() => if !following.has_joined() {
                    break;
                },
                next = next => match next {
                    Some((event, permit)) => following.relay(link, event, permit),
                    None => {
                        // The room has ended, so the role is about to change.
                        following.stop(link);
                        stop.await;
                        return;
                    }
                },
            }
        }
        tracing::debug!(target: "we::cluster", room = %place.name(), "something was lost on the way, joining again");
        // Whatever was too much shall not be so at once again.
        if began.elapsed() < beat {
            tokio::select! {
                () = &mut stop => return following.stop(link),
                () = sleep(jittered(beat / 2)) => {}
            }
        }
        began = Instant::now();
    }
}
