//! The example `counter`, without a host.
#![allow(unsafe_code, reason = "the example exports a function by its name")]

use we_guest::testing::Room;

#[path = "../../../examples/rooms/guests/counter/src/lib.rs"]
#[allow(missing_docs)]
mod counter;

#[test]
fn a_counter_is_shared() {
    let mut room = Room::new("numbers", counter::Counter::default());
    let ada = room.enter();
    let grace = room.enter();
    room.say(ada, "+");
    room.say(grace, &b"+"[..]);
    room.say(grace, "-");
    assert_eq!(room.heard(ada), ["0".into(), "1".into(), "0".into()]);
    let heard = room.heard(grace);
    assert_eq!(
        heard,
        ["0".into(), "1".into(), "send + or -".into(), "0".into()]
    );
    assert_eq!(room.heard(grace), []);
}
