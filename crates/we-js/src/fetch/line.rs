//! The way from a call to its server, which is given up from several sides.

use std::{cell::Cell, rc::Rc};

use tokio::sync::Notify;
use we_net::http::BodySender;

use super::fetching::Remote;

/// What the network does for a call. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Line(Rc<State>);

#[derive(Default)]
struct State {
    is_stopped: Cell<bool>,
    notice: Notify,
    /// Where the body comes from, while no job reads from it.
    connection: Cell<Option<Connection>>,
}

/// Where the body of a response comes from.
pub(super) struct Connection {
    pub(super) remote: Box<Remote>,
    /// Keeps the body of the request open, if the server did not wait for all of it.
    pub(super) _sender: Option<BodySender>,
}

/// A connection that a job reads from. It goes back to the line if the job ends before the body.
pub(super) struct Borrowed {
    pub(super) connection: Option<Connection>,
    line: Line,
}

impl Line {
    /// Closes the connection, also when a job reads from it, and ends what would lead to one.
    pub(super) fn stop(&self) {
        self.0.is_stopped.set(true);
        self.0.notice.notify_waiters();
        self.0.connection.take();
    }

    /// Waits until it is stopped.
    pub(super) async fn stopped(&self) {
        // All of this happens on one thread: nothing comes between the two lines.
        if !self.0.is_stopped.get() {
            self.0.notice.notified().await;
        }
    }

    pub(super) fn connect(&self, connection: Connection) {
        if !self.0.is_stopped.get() {
            self.0.connection.set(Some(connection));
        }
    }

    /// The connection, unless somebody has it, or there is none any more.
    pub(super) fn borrow(&self) -> Option<Borrowed> {
        let connection = self.0.connection.take()?;
        Some(Borrowed {
            connection: Some(connection),
            line: self.clone(),
        })
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.line.connect(connection);
        }
    }
}
