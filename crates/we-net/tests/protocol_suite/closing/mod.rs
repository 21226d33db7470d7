//! Ends of a connection, for both roles (RFC 6455 section 7).

mod failure;
mod handshake;
mod order;

use std::time::Duration;

use we_net::protocol::{Closure, Config, Connection, ConnectionError, Event, Role, Timeouts};

use crate::support::*;

const TIMEOUTS: Timeouts = Timeouts {
    closing: Duration::from_secs(30),
    tcp_close: Duration::from_secs(2),
    failing: Duration::from_secs(3),
    stalled_write: None,
    idle: None,
};

fn connection(role: Role) -> Connection {
    Connection::new(
        role,
        Config {
            timeouts: TIMEOUTS,
            ..Config::default()
        },
    )
}

fn closure(connection: &mut Connection) -> Closure {
    match events(connection).as_slice() {
        [Event::Closed(closure)] => closure.clone(),
        other => panic!("not just closed: {other:?}"),
    }
}

fn clean(code: u16, reason: &str) -> Closure {
    Closure {
        clean: true,
        code,
        reason: reason.to_owned(),
        error: None,
    }
}

fn lost(error: ConnectionError) -> Closure {
    Closure {
        clean: false,
        code: 1006,
        reason: String::new(),
        error: Some(error),
    }
}
