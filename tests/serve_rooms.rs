//! `we serve --rooms`: an instance of the application for each room.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::serve::{PATIENCE, Serve, fixture, until};
use common::we;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use we_net::protocol::Closure;
use we_net::{Client, Message, WebSocket};

fn start(args: &[&str]) -> Serve {
    let args = [&["--rooms", "--spare", "0"], args].concat();
    Serve::start_app(&fixture("rooms.mjs"), &args)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn connect(url: &str, path: &str) -> WebSocket {
    let url = format!("{}{}", url, path.trim_start_matches('/'));
    let request = Client::default().request(&*url).unwrap();
    let request = request.header("X-Test", "tested").unwrap();
    request.connect().await.unwrap()
}

/// A client that has been told of its own coming.
async fn enter(url: &str, path: &str) -> WebSocket {
    let mut socket = connect(url, path).await;
    let text = text(&mut socket).await;
    assert!(text.starts_with('+') && text.ends_with(path), "{text}");
    socket
}

async fn text(socket: &mut WebSocket) -> String {
    match timeout(PATIENCE, socket.next()).await.expect("no answer") {
        Ok(Some(Message::Text(text))) => text.into_string(),
        other => panic!("{other:?} is no text; {:?}", socket.closure()),
    }
}

async fn ask(socket: &mut WebSocket, question: &str) -> String {
    socket.send(question).await.unwrap();
    text(socket).await
}

async fn end(socket: &mut WebSocket) -> Closure {
    let rest = async { while socket.next_event().await.is_some() {} };
    timeout(PATIENCE, rest).await.expect("no end");
    socket.closure().unwrap()
}

#[test]
fn messages_are_for_whom_they_are_meant() {
    let serve = start(&["--subprotocol", "chat"]);
    let url = &serve.url;
    runtime().block_on(async {
        let mut ada = enter(url, "/ws/garden").await;
        let mut grace = enter(url, "/ws/garden").await;
        assert_eq!(text(&mut ada).await, "+2 /ws/garden");
        let mut other = enter(url, "/ws/kitchen").await;

        assert_eq!(ask(&mut ada, "grüße").await, "grüße");
        assert_eq!(text(&mut grace).await, "grüße");
        ada.send("others a").await.unwrap();
        assert_eq!(ask(&mut ada, "me c").await, "c");
        assert_eq!(text(&mut grace).await, "a");
        assert_eq!(ask(&mut grace, "count").await, "4");
        assert_eq!(ask(&mut other, "count").await, "1");
        ada.send(vec![0, 255]).await.unwrap();
        for socket in [&mut ada, &mut grace] {
            let bytes = timeout(PATIENCE, socket.next()).await.unwrap().unwrap();
            assert_eq!(bytes, Some(Message::binary(vec![0, 255])));
        }
        assert_eq!(ask(&mut ada, "later on").await, "on");
        assert_eq!(text(&mut grace).await, "on");

        let about = ask(&mut grace, "about").await;
        for part in [
            "\"id\":2".to_owned(),
            "\"protocol\":\"\"".to_owned(),
            "\"remoteAddress\":\"127.0.0.1:".to_owned(),
            format!("\"url\":\"{url}ws/garden\""),
            "\"header\":\"tested\"".to_owned(),
            "\"others\":[1,2]".to_owned(),
            "\"room\":\"garden\",\"name\":\"garden\"".to_owned(),
        ] {
            assert!(about.contains(&part), "no {part} in {about}");
        }
        let mistakes = ask(&mut ada, "mistakes").await;
        assert_eq!(
            mistakes,
            "TypeError,TypeError,TypeError,RangeError,RangeError,RangeError,RangeError,TypeError"
        );

        assert_eq!(ask(&mut ada, "timer 1").await, "time is over");
        assert_eq!(text(&mut grace).await, "time is over");
        ada.send("timer 20").await.unwrap();
        ada.send("stop").await.unwrap();
        assert_eq!(ask(&mut ada, "timer 50").await, "time is over");
        assert_eq!(ask(&mut ada, "me that was once").await, "that was once");
        assert_eq!(text(&mut grace).await, "time is over");

        let long = "x".repeat(1 << 20);
        assert_eq!(ask(&mut ada, &long).await, long);
        assert_eq!(text(&mut grace).await, long);
        let closure = {
            ada.send("close").await.unwrap();
            end(&mut ada).await
        };
        assert_eq!((closure.code, &*closure.reason), (4000, "as you wish"));
        assert_eq!(text(&mut grace).await, "-1");
        // Not room 1's, but of nobody.
        assert_eq!(ask(&mut enter(url, "/ws").await, "count").await, "1");
    });
}

#[test]
fn a_room_is_dropped_when_it_has_been_empty_for_a_while() {
    let serve = start(&["--grace", "0.3"]);
    let url = &serve.url;
    serve.expect_processes(1);
    runtime().block_on(async {
        let mut ada = enter(url, "/ws/garden").await;
        assert_eq!(ask(&mut ada, "count").await, "1");
        ada.close(None).await;
        // In time: it is the same room still.
        let mut grace = enter(url, "/ws/garden").await;
        assert_eq!(ask(&mut grace, "count").await, "2");
        assert_eq!(serve.processes().len(), 2);
        drop(grace);
        serve.expect_processes(1);
        let mut late = enter(url, "/ws/garden").await;
        assert_eq!(ask(&mut late, "count").await, "1");
    });
    assert!(!serve.printed().contains("room"), "{}", serve.printed());
    runtime().block_on(async { drop(enter(url, "/ws/diary").await) });
    serve.expect("written: 1\n");
}

#[test]
fn a_message_for_rooms_is_no_longer_than_it_may_be() {
    let serve = start(&["--max-message-kb", "64"]);
    runtime().block_on(async {
        let mut ada = enter(&serve.url, "/ws").await;
        let long = "x".repeat(64 << 10);
        assert_eq!(ask(&mut ada, &long).await, long);
        ada.send(format!("{long}x")).await.unwrap();
        assert_eq!(end(&mut ada).await.code, 1009);
    });
}

#[test]
fn a_client_that_has_gone_without_a_word_is_given_up() {
    let serve = start(&["--ping", "0.3"]);
    runtime().block_on(async {
        let mut ada = enter(&serve.url, "/ws").await;
        // It is open, and nobody answers Pings.
        let silent = enter(&serve.url, "/ws").await;
        assert_eq!(text(&mut ada).await, "+2 /ws");
        assert_eq!(text(&mut ada).await, "-2");
        drop(silent);
    });
}

/// What a service does, and what the log says of it.
const OFFENCES: [(&str, &str); 5] = [
    ("throw", "Error: boom\n"),
    ("reject", "Uncaught (in promise) Error: boom later"),
    (
        "loop",
        "room loop: the instance was ended: it computed for more than 300 ms without a pause",
    ),
    (
        "memory",
        "room memory: the instance was ended: it needed more than 48 MiB of memory",
    ),
    ("stack", "room stack: the instance crashed"),
];

#[test]
fn what_a_room_does_it_does_to_itself() {
    const OTHERS: usize = 200;
    let limits = ["--max-busy-ms", "300", "--max-memory-mb", "48"];
    let serve = start(&limits);
    let url = &serve.url;
    let over = Arc::new(AtomicBool::new(false));
    let echoed = Arc::new(AtomicU64::new(0));
    let begun = Arc::new(AtomicU64::new(0));
    let failed = Arc::new(Mutex::new(Vec::new()));
    let others = thread::spawn({
        let (over, echoed, begun, failed) =
            (over.clone(), echoed.clone(), begun.clone(), failed.clone());
        let url = url.clone();
        move || {
            runtime().block_on(async {
                let mut tasks = tokio::task::JoinSet::new();
                for n in 0..OTHERS {
                    // Twenty rooms of ten.
                    let path = format!("/ws/other-{}", n % 20);
                    let mut socket = connect(&url, &path).await;
                    let (over, echoed, begun, failed) =
                        (over.clone(), echoed.clone(), begun.clone(), failed.clone());
                    tasks.spawn(async move {
                        begun.fetch_add(1, Ordering::SeqCst);
                        let mut count = 0;
                        while !over.load(Ordering::SeqCst) {
                            count += 1;
                            let expected = format!("{n}-{count}");
                            if socket.send(format!("me {expected}")).await.is_err() {
                                break;
                            }
                            // Comings of others are told between.
                            loop {
                                match timeout(PATIENCE, socket.next()).await {
                                    Ok(Ok(Some(Message::Text(text)))) if *text == *expected => {
                                        break;
                                    }
                                    Ok(Ok(Some(Message::Text(text)))) if text.starts_with('+') => {}
                                    other => {
                                        failed.lock().unwrap().push(format!("{other:?}"));
                                        return;
                                    }
                                }
                            }
                            echoed.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
                while tasks.join_next().await.is_some() {}
            });
        }
    });
    until(
        || begun.load(Ordering::SeqCst) == OTHERS as u64,
        || "the others do not begin".to_owned(),
    );
    let before = serve.processes().len();
    runtime().block_on(async {
        for (offence, said) in OFFENCES {
            let path = format!("/ws/{offence}");
            let mut ada = enter(url, &path).await;
            let mut grace = enter(url, &path).await;
            text(&mut ada).await;
            let echoed_before = echoed.load(Ordering::SeqCst);
            ada.send(format!("do {offence}")).await.unwrap();
            for socket in [&mut ada, &mut grace] {
                let closure = end(socket).await;
                assert_eq!(closure.code, 1011, "{offence}: {closure:?}");
            }
            serve.expect(said);
            // Who comes has a fresh one.
            let mut again = enter(url, &path).await;
            assert_eq!(ask(&mut again, "count").await, "1");
            again.send("do throw").await.unwrap();
            assert_eq!(end(&mut again).await.code, 1011);
            until(
                || echoed.load(Ordering::SeqCst) > echoed_before,
                || format!("the others are held up by {offence}"),
            );
        }
        let mut broken = connect(url, "/ws/broken").await;
        assert_eq!(end(&mut broken).await.code, 1011);
        serve.expect("broken from the beginning");
    });
    over.store(true, Ordering::SeqCst);
    others.join().unwrap();
    assert_eq!(*failed.lock().unwrap(), [""; 0]);
    // The offenders' processes have gone; the others' rooms are kept for their grace time.
    until(
        || serve.processes().len() <= before,
        || format!("{} processes, before {before}", serve.processes().len()),
    );
}

#[test]
fn clients_of_a_service_that_has_failed_may_stay() {
    let serve = start(&["--on-failure", "keep", "--max-busy-ms", "200"]);
    let url = &serve.url;
    runtime().block_on(async {
        let mut ada = enter(url, "/ws/garden").await;
        let mut grace = enter(url, "/ws/garden").await;
        text(&mut ada).await;
        for (offence, round) in [("throw", 1), ("loop", 2)] {
            ada.send(format!("do {offence}")).await.unwrap();
            assert_eq!(text(&mut ada).await, "+1 /ws/garden", "{round}");
            assert_eq!(text(&mut ada).await, "+2 /ws/garden");
            assert_eq!(text(&mut grace).await, "+2 /ws/garden");
            assert_eq!(ask(&mut grace, "count").await, "1");
        }
    });
    serve.expect("it computed for more than 200 ms");
}

#[test]
fn a_slow_client_holds_up_nobody() {
    let serve = start(&[]);
    let url = &serve.url;
    runtime().block_on(async {
        let mut ada = enter(url, "/ws").await;
        let mut slow = enter(url, "/ws").await;
        text(&mut ada).await;
        // 64 MB for somebody who does not read.
        let mut told = [ask(&mut ada, "flood").await, text(&mut ada).await];
        told.sort();
        assert_eq!(told, ["-2", "flooded"]);
        assert_eq!(ask(&mut ada, "count").await, "2");
        assert_eq!(end(&mut slow).await.code, 1008);
    });
    assert!(serve.resident() < 100 << 10, "{} KiB", serve.resident());
    let serve = start(&["--slow-clients", "skip"]);
    let url = &serve.url;
    runtime().block_on(async {
        let mut ada = enter(url, "/ws").await;
        let mut slow = enter(url, "/ws").await;
        text(&mut ada).await;
        assert_eq!(ask(&mut ada, "flood").await, "flooded");
        let mut floods = 0;
        loop {
            match timeout(PATIENCE, slow.next()).await.unwrap().unwrap() {
                Some(Message::Binary(_)) => {
                    floods += 1;
                    slow.send("me still here").await.unwrap();
                }
                Some(Message::Text(_)) => break,
                None => panic!("{:?}", slow.closure()),
            }
        }
        assert!(floods < 1000, "{floods}");
    });
}

#[test]
fn paths_that_are_no_rooms_and_files_that_have_none() {
    let serve = start(&["--max-rooms", "1"]);
    let url = serve.url.clone();
    runtime().block_on(async {
        for path in ["ws/a/b", "ws/%00", "hello"] {
            let error = we_net::connect(&format!("{url}{path}")).await.unwrap_err();
            assert!(format!("{error:?}").contains("status: 404"), "{error:?}");
        }
        let _ada = enter(&url, "/ws/a").await;
        let mut second = connect(&url, "/ws/b").await;
        assert_eq!(end(&mut second).await.code, 1013);
    });
    drop(serve);
    let app = fixture("app.mjs");
    let output = we(&["serve", "--rooms", "--listen", "127.0.0.1:0", &app]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output
            .stderr
            .contains("has no rooms (--rooms): write export default room({"),
        "{output:?}"
    );
}

#[test]
fn rooms_end_with_the_server() {
    let mut serve = start(&[]);
    let runtime = runtime();
    let mut sockets = runtime.block_on(async {
        let first = enter(&serve.url, "/ws/a").await;
        [first, enter(&serve.url, "/ws/b").await]
    });
    // What an asynchronous function still has to do at the end is waited for.
    let _diary = runtime.block_on(enter(&serve.url, "/ws/diary"));
    let processes = serve.processes();
    let pid = serve.child.id().to_string();
    Command::new("kill").arg(&pid).status().unwrap();
    runtime.block_on(async {
        for socket in &mut sockets {
            assert_eq!(end(socket).await.code, 1001);
        }
    });
    assert!(serve.child.wait().unwrap().success());
    serve.expect("written: 1\n");
    let exists = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
    until(
        || !processes.iter().any(exists),
        || format!("some of {processes:?} are left"),
    );
}
