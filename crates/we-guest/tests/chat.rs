//! The example `chat`, without a host.
#![allow(unsafe_code, reason = "the example exports a function by its name")]

use we_guest::testing::Room;

#[path = "../../../examples/rooms/guests/chat/src/lib.rs"]
#[allow(missing_docs)]
mod chat;

#[test]
fn a_chat_tells_who_says_what() {
    let mut room = Room::new("garden", chat::Chat::default());
    let ada = room.enter();
    let grace = room.enter();
    room.say(ada, "/name ada");
    room.say(ada, "good evening");
    room.say(ada, &b"not told"[..]);
    assert_eq!(
        room.heard(ada),
        [
            "welcome to garden, guest 1".into(),
            "guest 2 has come".into(),
            "guest 1 is now ada".into(),
        ]
    );
    room.leave(ada);
    assert_eq!(
        room.heard(grace),
        [
            "welcome to garden, guest 2".into(),
            "guest 1 is now ada".into(),
            "ada: good evening".into(),
            "ada has left".into(),
        ]
    );
}
