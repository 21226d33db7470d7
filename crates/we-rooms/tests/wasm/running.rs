//! What a service is told, what it can do, and what its limits count.

use std::time::{Duration, Instant};

use we_net::Message;
use we_net::client::Request;
use we_rooms::wasm::WasmLimits;

use crate::common::{Site, load, narrow, within};

#[tokio::test]
async fn a_service_is_told_who_has_come() {
    let mut site = Site::new(load("offences.wasm", narrow())).await;
    let mut ada = site.enter("1").await;
    let plain = r#"/ws/1 None Some(Some("127.0.0.1")) None"#;
    assert_eq!(ada.ask("info").await, plain);
    let set = |request: Request| {
        let request = request.subprotocols(["other", "chat"]).unwrap();
        request.header("X-Name", b"Gr\xfcn: 1").unwrap()
    };
    let mut grace = site.enter_with("1?x=%20", set).await;
    let all = r#"/ws/1?x=%20 Some("chat") Some(Some("127.0.0.1")) Some("Gr�n: 1")"#;
    assert_eq!(grace.ask("info").await, all);
    site.no_problem();
}

#[tokio::test]
async fn a_timer_runs_out_once() {
    let mut site = Site::new(load("offences.wasm", narrow())).await;
    let mut ada = site.enter("1").await;
    ada.say("no timer").await;
    assert_eq!(ada.ask("timers").await, "0");
    // Another room's, which was set later for as long.
    let mut grace = site.enter("2").await;
    grace.say("timer").await;
    grace.hears("time is over").await;
    assert_eq!(ada.ask("timers").await, "0");
    ada.say("far timer").await;
    assert_eq!(ada.ask("timers").await, "0");
    ada.say("timer").await;
    ada.hears("time is over").await;
    assert_eq!(ada.ask("timers").await, "1");
    site.no_problem();
}

#[tokio::test]
async fn a_service_closes_clients() {
    let mut site = Site::new(load("offences.wasm", narrow())).await;
    let mut ada = site.enter("1").await;
    ada.say("close").await;
    assert_eq!(ada.closes().await, (4321, "é".repeat(61)));
    let mut grace = site.enter("1").await;
    grace.say("close bare").await;
    assert_eq!(grace.closes().await, (1005, String::new()));
    site.no_problem();
}

#[tokio::test]
async fn a_log_is_bounded() {
    let mut site = Site::new(load("offences.wasm", narrow())).await;
    let mut ada = site.enter("1").await;
    ada.say("log").await;
    ada.say("long log").await;
    ada.ask("done").await;
    let lines = site.lines();
    assert_eq!(lines.len(), 66);
    assert_eq!(
        lines[63..65],
        ["line 63", "(more lines at once than are told)"]
    );
    assert_eq!(lines[65].len(), 4096);
    site.no_problem();
}

/// A client cannot bring a room down by a message that the instance has no room for.
#[tokio::test]
async fn long_messages_are_not_for_the_service() {
    let limits = WasmLimits {
        max_message: 1000,
        ..narrow()
    };
    let mut site = Site::new(load("offences.wasm", limits)).await;
    let mut ada = site.enter("1").await;
    let mut grace = site.enter("1").await;
    assert_eq!(ada.ask("x".repeat(1000)).await.len(), 1000);
    ada.say("x".repeat(1001)).await;
    let reason = "the room takes messages of 1000 bytes at most".to_owned();
    assert_eq!(ada.closes().await, (1009, reason));
    assert_eq!(grace.ask("still here").await, "still here");
    site.no_problem();
}

/// Also those as long as they may be by default, again and again.
#[tokio::test]
async fn messages_of_all_lengths_arrive() {
    let mut site = Site::new(load("offences.wasm", WasmLimits::default())).await;
    let mut ada = site.enter("1").await;
    for len in [0, 1, 100, 65535, 65536, 1 << 20, 70_000, 0, 1 << 20] {
        let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let message = Message::binary(bytes);
        ada.say(message.clone()).await;
        assert!(ada.hear().await == message, "{len}");
    }
    site.no_problem();
}

/// Many calls, each within its time, are no offence together.
#[tokio::test]
async fn time_is_counted_for_each_call() {
    let max_busy = Duration::from_secs(1);
    let mut site = Site::new(load(
        "offences.wasm",
        WasmLimits {
            max_busy,
            ..narrow()
        },
    ))
    .await;
    let mut ada = site.enter("1").await;
    let begin = Instant::now();
    while begin.elapsed() < max_busy * 2 {
        assert_eq!(ada.ask("work").await, "worked");
    }
    site.no_problem();
}

/// Nor does it count while others have their turn: here one who holds the thread up between the turns of the instance.
#[tokio::test]
async fn time_is_counted_only_while_it_computes() {
    let max_busy = Duration::from_secs(1);
    let mut site = Site::new(load(
        "offences.wasm",
        WasmLimits {
            max_busy,
            ..narrow()
        },
    ))
    .await;
    let mut ada = site.enter("1").await;
    let neighbour = tokio::spawn(async {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    });
    within(async {
        // Twice as many turns, until they take long enough: some fifteen.
        for times in (2..).map(|power| 1 << power) {
            let begin = Instant::now();
            assert_eq!(ada.ask(format!("work {times}")).await, "worked");
            if begin.elapsed() > max_busy * 3 / 2 {
                return;
            }
        }
    })
    .await;
    neighbour.abort();
    site.no_problem();
}

/// An instance is gone with its room, also in the middle of a call.
#[test]
fn an_instance_ends_with_its_room() {
    let limits = WasmLimits {
        max_busy: Duration::from_secs(3600),
        ..narrow()
    };
    let services = load("offences.wasm", limits);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async {
        let site = Site::with(services.clone(), |rooms| rooms.grace(Duration::ZERO)).await;
        let ada = site.enter("1").await;
        site.instances(1).await;
        ada.leave().await;
        site.instances(0).await;
        let mut grace = site.enter("2").await;
        grace.say("loop").await;
        grace.say("not read").await;
        // It loops when it has been given turns.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        site.instances(1).await;
    });
    drop(first);
    assert_eq!(services.instances(), 0);
    // And others can be made.
    runtime().block_on(async {
        let site = Site::new(services.clone()).await;
        let mut ada = site.enter("1").await;
        assert_eq!(ada.ask("hello").await, "hello");
    });
}

/// On several threads, between which instances wander.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn many_rooms_at_once() {
    let mut site = Site::new(load("offences.wasm", WasmLimits::default())).await;
    let mut guests = Vec::new();
    for room in 0..50 {
        guests.push(
            site.enter(&format!("room {room}").replace(' ', "%20"))
                .await,
        );
    }
    let tasks: Vec<_> = guests
        .into_iter()
        .map(|mut guest| {
            tokio::spawn(async move {
                for round in 0..3 {
                    assert_eq!(guest.ask("work").await, "worked");
                    assert_eq!(
                        guest.ask(format!("round {round}")).await,
                        format!("round {round}")
                    );
                }
                guest
            })
        })
        .collect();
    let mut guests = Vec::new();
    for task in tasks {
        guests.push(within(task).await.unwrap());
    }
    assert_eq!(site.services.instances(), 50);
    assert_eq!(site.rooms.list().len(), 50);
    site.no_problem();
}
