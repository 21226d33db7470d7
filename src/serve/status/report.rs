//! What the status page is told: one look at a server, as JSON.

use std::cmp::Reverse;
use std::time::Duration;

use serde_json::{Value, json};
use we_net::observe::Stats;

/// How many rooms are told of: those with the most clients.
const MAX_ROOMS: usize = 200;

/// What there is to see beside connections and messages.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Requests that were given to the application, if it may be given any.
    pub(crate) requests: Option<u64>,
    /// How often the application has failed.
    pub(crate) failures: u64,
    /// The instances, if that is how the application runs.
    pub(crate) instances: Option<InstanceCount>,
    /// The rooms, if there is such a thing.
    pub(crate) rooms: Option<Vec<RoomLine>>,
}

/// How many instances there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InstanceCount {
    /// Those that serve.
    pub(crate) running: usize,
    /// Those that wait.
    pub(crate) spare: usize,
}

/// A room. Its name comes from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomLine {
    pub(crate) name: String,
    pub(crate) clients: usize,
    /// Messages from clients.
    pub(crate) received: u64,
    /// Messages to clients, counted for each.
    pub(crate) sent: u64,
    pub(crate) failures: u64,
}

/// Tells of one look.
pub(super) fn report(
    title: &str,
    started: u64,
    uptime: Duration,
    stats: &Stats,
    served: Look,
) -> Value {
    let instances = served
        .instances
        .map(|instances| json!({ "running": instances.running, "spare": instances.spare }));
    let (rooms, more_rooms) = match served.rooms {
        Some(rooms) => {
            let (rooms, more) = biggest(rooms);
            (Some(rooms), more)
        }
        None => (None, 0),
    };
    json!({
        "title": title,
        "started": started,
        "uptime": uptime.as_secs_f64(),
        "connections": { "open": stats.open, "total": stats.opened, "refused": stats.failed },
        "messages": { "in": stats.messages_in, "out": stats.messages_out },
        "bytes": { "in": stats.bytes_in, "out": stats.bytes_out },
        "requests": served.requests,
        "instances": instances,
        "failures": served.failures,
        "rooms": rooms,
        "more_rooms": more_rooms,
    })
}

/// The rooms with the most clients, and how many others there are.
fn biggest(mut rooms: Vec<RoomLine>) -> (Vec<Value>, usize) {
    rooms.sort_by(|a, b| (Reverse(a.clients), &a.name).cmp(&(Reverse(b.clients), &b.name)));
    let more = rooms.len().saturating_sub(MAX_ROOMS);
    let shown = rooms.into_iter().take(MAX_ROOMS);
    let shown = shown.map(|room| {
        json!({
            "name": room.name,
            "clients": room.clients,
            "received": room.received,
            "sent": room.sent,
            "failures": room.failures,
        })
    });
    (shown.collect(), more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: String, clients: usize) -> RoomLine {
        RoomLine {
            name,
            clients,
            received: 1,
            sent: 2,
            failures: 3,
        }
    }

    #[test]
    fn the_biggest_rooms_are_told_of() {
        let rooms = (0..MAX_ROOMS + 7).map(|number| room(format!("{number:03}"), number / 2));
        let served = Look {
            rooms: Some(rooms.collect()),
            ..Look::default()
        };
        let told = report(
            "x",
            1,
            Duration::from_millis(1500),
            &Stats::default(),
            served,
        );
        assert_eq!(told["more_rooms"], 7);
        assert_eq!(told["uptime"], 1.5);
        let rooms = told["rooms"].as_array().map(Vec::as_slice);
        let rooms = rooms.unwrap_or_default();
        assert_eq!(rooms.len(), MAX_ROOMS);
        let first =
            json!({ "name": "206", "clients": 103, "received": 1, "sent": 2, "failures": 3 });
        assert_eq!(rooms[0], first);
        assert_eq!(rooms[1]["name"], "204");
        assert_eq!(rooms[2]["name"], "205");
        assert_eq!(rooms[MAX_ROOMS - 1]["clients"], 3);
    }

    #[test]
    fn what_there_is_not_is_null() {
        let told = report("x", 1, Duration::ZERO, &Stats::default(), Look::default());
        for name in ["requests", "instances", "rooms"] {
            assert_eq!(told[name], Value::Null, "{name}");
        }
        let none = Look {
            rooms: Some(Vec::new()),
            ..Look::default()
        };
        let told = report("x", 1, Duration::ZERO, &Stats::default(), none);
        assert_eq!(told["rooms"], json!([]));
    }
}
