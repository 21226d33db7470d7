//! What a service must not do ends its own room, with a cause that names it, and no other.

use std::time::Duration;

use we_net::Message;
use we_rooms::OnFailure;

use crate::common::{Guest, Site, load, narrow};

/// How long the worst of them may go on: 200 turns of 10 ms.
const MAX_BUSY: Duration = Duration::from_secs(2);

/// How many echoes another room of the same thread is to make meanwhile. Each takes some two turns, however long these are on a machine
/// with much else to do; with a room that gives way to nobody there would be one at most, and with one that the network waits for, three.
const ECHOES: u32 = 15;

const OFFENCES: &[(&str, &[&str])] = &[
    ("loop", &["in we_message", "computed for more than 2000 ms"]),
    (
        "panic",
        &[
            "in we_message",
            "panicked at 'as told by",
            "offences/src/lib.rs",
        ],
    ),
    (
        "out of bounds",
        &["index out of bounds: the len is 3 but the index is 13"],
    ),
    ("divide", &["called `Option::unwrap()` on a `None` value"]),
    ("grow", &["refused more memory than 16777216 bytes"]),
    ("recurse", &["its stack has overflowed (512 KiB)"]),
    ("bad text", &["called send with text that is not UTF-8"]),
    ("bad pointer", &["called send with 100 bytes at 4294967295"]),
    ("bad length", &["called log with 4294967295 bytes at 4096"]),
    ("bad name", &["called room_name with 6 bytes at 4294967294"]),
    ("bad recipient", &["called send with 7 as recipient"]),
    ("bad kind", &["called send with 2 as kind"]),
    ("bad code", &["called close with 1005 as code"]),
    ("long message", &["sent a message of 16777217 bytes"]),
];

/// On one thread, with everything.
#[tokio::test]
async fn an_offence_ends_its_own_room_only() {
    let limits = we_rooms::wasm::WasmLimits {
        max_busy: MAX_BUSY,
        max_memory: 32 << 20,
        ..narrow()
    };
    let mut limits_of_memory = limits;
    limits_of_memory.max_memory = 16 << 20;
    let mut site = Site::new(load("offences.wasm", limits)).await;
    let mut small = Site::new(load("offences.wasm", limits_of_memory)).await;
    let mut other = site.enter("other").await;
    for (offence, expected) in OFFENCES {
        // A message of 16 MiB needs some memory before it is one too many.
        let site = match *offence {
            "grow" => &mut small,
            _ => &mut site,
        };
        let mut victim = site.enter("victim").await;
        victim.say(*offence).await;
        let mut echoes = 0;
        let code = {
            let mut closes = std::pin::pin!(victim.closes());
            loop {
                tokio::select! {
                    biased;
                    (code, _) = &mut closes => break code,
                    () = echo(&mut other) => echoes += 1,
                }
            }
        };
        assert_eq!(code, 1011, "{offence}");
        if *offence == "loop" {
            assert!(echoes >= ECHOES, "{echoes}");
            println!("{echoes} echoes in 200 turns");
        }
        let problem = site.problem("victim").await;
        for part in *expected {
            assert!(problem.contains(part), "{problem}\n  lacks {part}");
        }
        // Whoever comes next has another room of this name.
        let mut next = site.enter("victim").await;
        echo(&mut next).await;
        next.leave().await;
        // What the interrupted echo has left.
        drop(other);
        other = site.enter("other").await;
        echo(&mut other).await;
    }
    site.no_problem();
}

async fn echo(guest: &mut Guest) {
    let binary = Message::binary(b"still here");
    guest.say(binary.clone()).await;
    assert_eq!(guest.hear().await, binary);
}

#[tokio::test]
async fn a_flood_is_bounded() {
    let mut site = Site::new(load("offences.wasm", narrow())).await;
    let mut victim = site.enter("victim").await;
    victim.say("flood").await;
    let (code, reason) = victim.closes().await;
    // Whichever comes first: that it does not take so much, or that the room ends.
    assert!(matches!(code, 1008 | 1011), "{code} {reason}");
    let problem = site.problem("victim").await;
    assert!(
        problem.contains("computed for more than 300 ms"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_room_may_not_begin() {
    let mut site = Site::new(load("offences.wasm", narrow())).await;
    let mut victim = site.enter("bad%20init").await;
    assert_eq!(victim.closes().await.0, 1011);
    let problem = site.problem("bad init").await;
    assert!(
        problem.contains("failed in we_init: panicked at 'no room of this name'"),
        "{problem}"
    );
}

#[tokio::test]
async fn clients_may_stay() {
    let services = load("offences.wasm", narrow());
    let mut site = Site::with(services, |rooms| rooms.on_failure(OnFailure::KeepClients)).await;
    let mut ada = site.enter("1").await;
    ada.say("panic").await;
    site.problem("1").await;
    assert_eq!(ada.ask("are you there?").await, "are you there?");
    ada.say("recurse").await;
    site.problem("1").await;
    assert_eq!(ada.ask("again?").await, "again?");
    site.no_problem();
}

/// Rooms that want more and more memory, one after the other, leave nothing behind.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_comes_back() {
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        // Pages are 4 KiB, or more.
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    };
    let limits = we_rooms::wasm::WasmLimits {
        max_memory: 64 << 20,
        max_busy: Duration::from_secs(30),
        ..narrow()
    };
    let mut site = Site::new(load("offences.wasm", limits)).await;
    let mut before = 0;
    for round in 0..12 {
        let mut victim = site.enter("victim").await;
        victim.say("grow").await;
        assert_eq!(victim.closes().await.0, 1011);
        site.problem("victim").await;
        site.instances(0).await;
        if round == 1 {
            before = resident();
        }
    }
    let after = resident();
    // Other tests of this process need some, too: less than the ten rooms would have left.
    assert!(after < before + (256 << 20), "{before} {after}");
}
