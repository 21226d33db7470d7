//! The room of tests: it does what the host does.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use we_guest::testing::{Heard, Room};
use we_guest::{ClientId, ClientInfo, Context, Message, Recipient, Service};

/// Does what it is told.
#[derive(Debug, Default)]
struct Obedient;

impl Service for Obedient {
    fn init(&mut self, ctx: &mut Context<'_>) {
        ctx.log(&format!("{} begins", ctx.name()));
    }

    fn connect(&mut self, client: ClientId, info: &ClientInfo<'_>, ctx: &mut Context<'_>) {
        ctx.send(client, info.target());
    }

    fn message(&mut self, client: ClientId, data: Message<'_>, ctx: &mut Context<'_>) {
        match data.as_text() {
            Some("set") => ctx.set_timer(Duration::from_secs(1)),
            Some("clear") => ctx.clear_timer(),
            Some("close") => ctx.close(client, 4000, "as told"),
            _ => ctx.send(Recipient::Everyone, data),
        }
    }

    fn timer(&mut self, ctx: &mut Context<'_>) {
        ctx.send(Recipient::Everyone, "time is over");
    }
}

#[test]
fn a_room_of_a_test_is_like_one_of_the_host() {
    let mut room = Room::new("garden", Obedient);
    assert_eq!(room.log(), ["garden begins"]);
    let ada = room.enter_with(&ClientInfo::new(b"/ws/garden?x\n\n\n"));
    assert_eq!(room.heard(ada), ["/ws/garden?x".into()]);
    assert!(!room.run_out());
    room.say(ada, "set");
    assert_eq!(room.timer(), Some(Duration::from_secs(1)));
    room.say(ada, "clear");
    assert_eq!(room.timer(), None);
    room.say(ada, "set");
    assert!(room.run_out() && !room.run_out());
    room.say(ada, &b"bytes"[..]);
    assert_eq!(
        room.heard(ada),
        ["time is over".into(), Heard::Binary(b"bytes".to_vec())]
    );
    room.say(ada, "close");
    assert_eq!(
        room.heard(ada),
        [Heard::Closed(Some(4000), "as told".into())]
    );
    // Nothing comes behind it.
    room.say(ada, "hello");
    assert_eq!(room.heard(ada), []);
    room.leave(ada);
    assert_eq!(room.heard(ada), []);
}
