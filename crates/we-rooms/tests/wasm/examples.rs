//! The examples: a counter and a chat. They do the same as those in other languages.

use we_net::Message;
use we_rooms::wasm::WasmLimits;

use crate::common::{Site, load};

#[tokio::test]
async fn a_counter_is_shared() {
    let mut site = Site::new(load("counter.wasm", WasmLimits::default())).await;
    let mut ada = site.enter("numbers").await;
    ada.hears("0").await;
    ada.say("+").await;
    ada.hears("1").await;
    let mut grace = site.enter("numbers").await;
    grace.hears("1").await;
    grace.say("+").await;
    for guest in [&mut ada, &mut grace] {
        guest.hears("2").await;
    }
    for message in [Message::from("*"), "".into(), Message::binary(b"+")] {
        grace.say(message).await;
        grace.hears("send + or -").await;
    }
    for number in ["1", "0", "-1"] {
        ada.say("-").await;
        for guest in [&mut ada, &mut grace] {
            guest.hears(number).await;
        }
    }
    // Another room has another number.
    let mut alan = site.enter("others").await;
    alan.hears("0").await;
    site.no_problem();
}

#[tokio::test]
async fn a_chat_tells_who_says_what() {
    let mut site = Site::new(load("chat.wasm", WasmLimits::default())).await;
    let mut ada = site.enter("gr%C3%BCn").await;
    ada.hears("welcome to grün, guest 1").await;
    let mut grace = site.enter("gr%C3%BCn").await;
    grace.hears("welcome to grün, guest 2").await;
    ada.hears("guest 2 has come").await;
    ada.say("/name ada").await;
    for guest in [&mut ada, &mut grace] {
        guest.hears("guest 1 is now ada").await;
    }
    ada.say(Message::binary(b"not told")).await;
    ada.say("good evening").await;
    grace.hears("ada: good evening").await;
    grace.say("/names").await;
    ada.hears("guest 2: /names").await;
    ada.leave().await;
    grace.hears("ada has left").await;
    site.no_problem();
}
