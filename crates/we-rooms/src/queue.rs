//! [`Queue`]: what waits for a client, and what becomes of a client that does not take it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use we_net::Message;
use we_net::protocol::{CloseCode, CloseFrame, CloseReason};

/// How long a client that has been closed has to take what waits for it.
const TO_GO: Duration = Duration::from_secs(5);

/// What a message costs beside its payload, so that many empty ones are not free.
const OVERHEAD: usize = 64;

/// What becomes of a client for which too much waits. (Others are never held up.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowClients {
    /// Its connection is closed with 1008, and what waits for it is dropped: so what a client sees has no gaps.
    #[default]
    Close,
    /// The message is not for it. It does not learn that there was one.
    SkipMessages,
}

/// Messages for one client. Bounded, and nobody ever waits to put one in.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    ended: Notify,
    limit: usize,
    policy: SlowClients,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    /// Of all that waits, with what each message costs.
    bytes: usize,
    end: Option<End>,
    /// The client has been too slow.
    has_overflowed: bool,
}

/// How a client's place in the room has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// This frame is to be sent behind what waits.
    Close(Option<CloseFrame>),
    /// The connection has ended.
    Gone,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Send(Message),
    Close(Option<CloseFrame>),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// The client was too slow for it.
    Skipped,
    /// The client was too slow, and has been told to go.
    Overflowed,
    /// The client has gone, or is about to.
    Ended,
}

impl Queue {
    /// A queue of at most `limit` bytes.
    pub(crate) fn new(limit: usize, policy: SlowClients) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            ended: Notify::new(),
            limit,
            policy,
        }
    }

    pub(crate) fn push(&self, message: Message) -> Pushed {
        let mut state = self.lock();
        if state.end.is_some() {
            return Pushed::Ended;
        }
        let bytes = message.len() + OVERHEAD;
        // One that is longer than the limit by itself may wait alone.
        if state.bytes > 0 && state.bytes + bytes > self.limit {
            if self.policy == SlowClients::SkipMessages {
                return Pushed::Skipped;
            }
            let reason = format!("too slow: more than {} bytes waited", self.limit);
            state.messages.clear();
            state.bytes = 0;
            state.has_overflowed = true;
            state.end = Some(End::Close(Some(CloseFrame {
                code: CloseCode::POLICY,
                reason: CloseReason::truncated(&reason),
            })));
            drop(state);
            self.changed.notify_one();
            self.ended.notify_one();
            return Pushed::Overflowed;
        }
        state.bytes += bytes;
        state.messages.push_back(message);
        drop(state);
        self.changed.notify_one();
        Pushed::Queued
    }

    /// Ends the client's place in the room, behind what waits. The first call counts.
    pub(crate) fn close(&self, frame: Option<CloseFrame>) {
        self.lock().end.get_or_insert(End::Close(frame));
        self.changed.notify_one();
        self.ended.notify_one();
    }

    /// The connection has ended: what waits is for nobody.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.messages = VecDeque::new();
        state.bytes = 0;
        state.end = Some(End::Gone);
    }

    /// Whether the client has been told to go, or is about to be.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// What is there without waiting.
    pub(crate) fn try_next(&self) -> Option<Next> {
        let mut state = self.lock();
        if let Some(message) = state.messages.pop_front() {
            state.bytes -= message.len() + OVERHEAD;
            return Some(Next::Send(message));
        }
        match &state.end {
            Some(End::Close(frame)) => Some(Next::Close(frame.clone())),
            Some(End::Gone) | None => None,
        }
    }

    /// Waits for what is to be done next. For one caller at a time. Cancel-safe.
    pub(crate) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            self.changed.notified().await;
        }
    }

    /// Waits until a client that has been told to go is not to be waited for any more: at once if it was too slow, or else when it has had its
    /// time for what waits for it. Returns what is to be sent as the last. For one caller at a time.
    pub(crate) async fn given_up(&self) -> Option<CloseFrame> {
        self.ended.notified().await;
        // Also if nothing waits: a message may be on its way.
        if !self.lock().has_overflowed {
            sleep(TO_GO).await;
        }
        let mut state = self.lock();
        state.messages.clear();
        state.bytes = 0;
        match &state.end {
            Some(End::Close(frame)) => frame.clone(),
            Some(End::Gone) | None => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_client_is_told_to_go() {
        let queue = Queue::new(1000, SlowClients::Close);
        // However long, it may wait alone.
        assert_eq!(queue.push("x".repeat(5000).into()), Pushed::Queued);
        assert_eq!(queue.push("".into()), Pushed::Overflowed);
        assert_eq!(queue.push("".into()), Pushed::Ended);
        match queue.try_next() {
            Some(Next::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::POLICY),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_are_skipped_until_there_is_room() {
        let queue = Queue::new(200, SlowClients::SkipMessages);
        assert_eq!(queue.push("first".into()), Pushed::Queued);
        assert_eq!(queue.push("second".into()), Pushed::Queued);
        assert_eq!(queue.push("third".into()), Pushed::Skipped);
        assert_eq!(queue.try_next(), Some(Next::Send("first".into())));
        assert_eq!(queue.push("fourth".into()), Pushed::Queued);
        queue.close(None);
        queue.close(Some(CloseFrame::from(CloseCode::NORMAL)));
        assert_eq!(queue.push("fifth".into()), Pushed::Ended);
        assert_eq!(queue.try_next(), Some(Next::Send("second".into())));
        assert_eq!(queue.try_next(), Some(Next::Send("fourth".into())));
        assert_eq!(queue.try_next(), Some(Next::Close(None)));
        queue.abandon();
        assert_eq!(queue.try_next(), None);
    }
}
