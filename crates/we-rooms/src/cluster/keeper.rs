//! The task that decides what a node is to a room: it takes the lease and renews it, or looks whose it is.

use std::future::pending;
use std::sync::Arc;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::jittered;
use super::lease::{Session, Term};
use super::place::{Place, Role};

pub(crate) async fn keep(place: Arc<Place>) {
    let mut sessions = place.node.link.sessions();
    loop {
        let session = sessions.borrow_and_update().clone();
        let has_session = session.is_some();
        let held = async {
            match session {
                Some(session) => hold(&place, &session).await,
                None => alone(&place).await,
            }
        };
        tokio::select! {
            () = held => {}
            // The sender is in what we have.
            _ = sessions.changed() => {}
        }
        if has_session {
            place.owned.end(place.shared());
            if !place.serves() {
                place.turn(Role::Undecided);
            }
        }
    }
}

/// Begins to serve after a while if there is no other node to do it, and never ends.
async fn alone(place: &Place) {
    if !place.serves() {
        sleep(place.node.link.options.patience()).await;
        tracing::debug!(target: "we::cluster", room = %place.name(), "served here, without the others");
        place.turn(Role::Serve);
    }
    pending().await
}

/// Has the lease or follows who has it, as long as a session lasts.
async fn hold(place: &Place, session: &Session) {
    let mut answer = ask(place, session).await;
    let mut has_told = false;
    loop {
        answer = match answer {
            (Ok(Some(term)), asked) if term.owner == place.node.link.node => {
                has_told = false;
                own(place, session, term, asked).await;
                ask(place, session).await
            }
            (Ok(Some(term)), _) => {
                has_told = false;
                follow(place, session, term).await
            }
            (Ok(None), _) => {
                // Nobody is here, and nobody has it.
                if !place.serves() {
                    place.turn(Role::Undecided);
                }
                let mut count = place.shared().watch();
                let somebody = count.wait_for(|count| *count > 0);
                tokio::select! {
                    _ = somebody => {}
                    () = sleep(jittered(place.lease() / 3)) => {}
                }
                ask(place, session).await
            }
            (Err(problem), _) => {
                if !place.serves() {
                    place.turn(Role::Undecided);
                }
                // If the session has ended, so will this.
                sleep(place.node.link.options.patience()).await;
                if !has_told {
                    has_told = true;
                    tracing::warn!(
                        target: "we::cluster",
                        room = %place.name(),
                        "served here, without the others, since the lease cannot be had: {problem}"
                    );
                }
                place.turn(Role::Serve);
                sleep(jittered(place.lease() / 3)).await;
                ask(place, session).await
            }
        };
    }
}

/// What the broker has answered, and since when a lease may run.
type Answer = (Result<Option<Term>, String>, Instant);

async fn ask(place: &Place, session: &Session) -> Answer {
    let asked = Instant::now();
    (place.ask(session).await, asked)
}

/// Owns the room in a term that began at `asked` at the earliest. Ends when it does not any more, or not as it did.
async fn own(place: &Place, session: &Session, term: Term, asked: Instant) {
    let lease = place.lease();
    let beat = place.node.link.options.beat();
    let mut until = asked + lease;
    let mut renew_at = asked + lease / 3;
    place.owned.begin(term.epoch, until);
    place.turn(Role::Serve);
    place.owned.announce();
    place.unsubscribe();
    tracing::debug!(target: "we::cluster", room = %place.name(), epoch = term.epoch, "owned by this node");
    let problem = loop {
        tokio::select! {
            () = sleep_until(renew_at.min(Instant::now() + beat)) => {}
            () = place.look.notified() => {}
        }
        if place.owned.has_lost() {
            place.owned.end(place.shared());
            place.node.link.ready().await;
            // Whatever was too much shall not be so at once again.
            sleep(jittered(beat)).await;
            break "more than may be waited for the broker".to_owned();
        }
        place.owned.drop_silent(place.shared());
        let now = Instant::now();
        if now < renew_at {
            continue;
        }
        match timeout_at(until, place.renew(session, term)).await {
            Ok(Ok(true)) => {
                until = now + lease;
                renew_at = now + lease / 3;
                place.owned.extend(until);
                if place.owned.has_followers() {
                    place.owned.announce();
                }
            }
            Ok(Ok(false)) => break "the lease is another's".to_owned(),
            Ok(Err(problem)) if Instant::now() >= until => break problem,
            Ok(Err(_)) => renew_at = now + lease / 12,
            Err(_) => break "the lease could not be renewed".to_owned(),
        }
    };
    tracing::debug!(target: "we::cluster", room = %place.name(), epoch = term.epoch, "not owned any more: {problem}");
    place.owned.end(place.shared());
}

/// Follows the owner of a term. Ends with the answer that says that the room is another's.
async fn follow(place: &Place, session: &Session, term: Term) -> Answer {
    if let Err(problem) = session.subscribe(&place.channel).await {
        return (Err(problem), Instant::now());
    }
    place.turn(Role::Follow(term, session.number));
    tracing::debug!(target: "we::cluster", room = %place.name(), owner = %term.owner, epoch = term.epoch, "following");
    loop {
        let lease = place.lease();
        let pause = match place.node.is_alive(term.owner) {
            true => lease / 3,
            false => lease / 12,
        };
        tokio::select! {
            () = sleep(jittered(pause)) => {}
            () = place.look.notified() => {
                // However many ask for it.
                sleep(jittered(lease / 200)).await;
            }
        }
        let answer = ask(place, session).await;
        if !matches!(&answer.0, Ok(Some(now)) if *now == term) {
            return answer;
        }
    }
}
