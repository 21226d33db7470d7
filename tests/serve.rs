//! `we serve`: an instance of the application for each connection, and what one of them may do to the others: nothing.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::serve::{PATIENCE, Serve, until};
use common::{interrupt, wait, we};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use we_net::protocol::{CloseCode, CloseFrame, CloseReason, Closure, Event, Message};
use we_net::{Client, WebSocket};

fn connect_to(serve: &Serve, runtime: &Runtime, path: &str) -> WebSocket {
    runtime.block_on(connect(&serve.url, path))
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

async fn next_text(socket: &mut WebSocket) -> String {
    let next = tokio::time::timeout(PATIENCE, socket.next()).await;
    match next.expect("no answer").unwrap() {
        Some(Message::Text(text)) => text.to_string(),
        other => panic!("{other:?} is no text; {:?}", socket.closure()),
    }
}

async fn ask(socket: &mut WebSocket, text: &str) -> String {
    socket.send(text).await.unwrap();
    next_text(socket).await
}

/// How the connection ends.
async fn end(socket: &mut WebSocket) -> Closure {
    let rest = async { while socket.next_event().await.is_some() {} };
    tokio::time::timeout(PATIENCE, rest).await.expect("no end");
    socket.closure().unwrap()
}

fn frame(code: u16, reason: &str) -> CloseFrame {
    CloseFrame {
        code: CloseCode::new(code).unwrap(),
        reason: CloseReason::truncated(reason),
    }
}

#[test]
fn each_connection_has_an_instance_of_its_own() {
    let serve = Serve::start(&["--spare", "2", "--subprotocol", "chat"]);
    let runtime = runtime();
    let (mut randoms, mut origins) = (Vec::new(), Vec::new());
    for round in 1..=3 {
        let mut socket = connect_to(&serve, &runtime, "/about?x=1");
        let about = runtime.block_on(next_text(&mut socket));
        for part in [
            format!("\"url\":\"{}about?x=1\"", serve.url),
            "\"protocol\":\"\"".to_owned(),
            "\"remoteAddress\":\"127.0.0.1:".to_owned(),
            "\"readyState\":1".to_owned(),
            "\"headers\":\"tested\"".to_owned(),
        ] {
            assert!(about.contains(&part), "no {part} in {about}");
        }
        let started = about.split_once("\"started\":[").unwrap().1;
        let (random, origin) = started.split_once(',').unwrap();
        randoms.push(random.to_owned());
        origins.push(origin.to_owned());
        for count in 1..=round {
            let count = count.to_string();
            assert_eq!(runtime.block_on(ask(&mut socket, "count")), count);
        }
    }
    // Nor do they share where their random numbers come from, or when their time began.
    for mut all in [randoms, origins] {
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 3, "{all:?}");
    }
}

#[test]
fn messages_of_all_types_pings_and_mistakes() {
    let serve = Serve::start(&["--spare", "1"]);
    runtime().block_on(async {
        let mut socket = connect(&serve.url, "/").await;
        assert_eq!(ask(&mut socket, "grüße").await, "grüße");
        socket.send(vec![0, 255]).await.unwrap();
        let binary = |bytes: &[u8]| Some(Message::binary(bytes.to_vec()));
        assert_eq!(socket.next().await.unwrap(), binary(&[0, 255]));
        socket.send("types").await.unwrap();
        assert_eq!(socket.next().await.unwrap(), binary(&[2, 3]));
        assert_eq!(socket.next().await.unwrap(), binary(&[0, 0]));
        assert_eq!(socket.next().await.unwrap(), binary(b"blob"));
        socket.send("ping").await.unwrap();
        match socket.next_event().await {
            Some(Event::Ping(payload)) => assert_eq!(&*payload, b"are you there"),
            other => panic!("{other:?}"),
        }
        let mistakes = "RangeError,RangeError,RangeError,TypeError";
        assert_eq!(ask(&mut socket, "mistakes").await, mistakes);
        let long = "x".repeat(1 << 20);
        assert_eq!(ask(&mut socket, &long).await, long);
    });
}

#[test]
fn codes_and_reasons_go_both_ways_and_the_instance_ends() {
    let serve = Serve::start(&["--spare", "0"]);
    serve.expect_processes(1);
    runtime().block_on(async {
        let mut socket = connect(&serve.url, "/tell").await;
        socket.send("bye").await.unwrap();
        let closure = end(&mut socket).await;
        assert_eq!(
            (closure.code, &*closure.reason, closure.clean),
            (1008, "against the rules", true)
        );
        serve.expect("close 1008 against the rules 3\n");

        let mut socket = connect(&serve.url, "/tell").await;
        let closure = socket.close(frame(3333, "enough")).await;
        assert!(closure.clean);
        serve.expect("close 3333 enough 3\n");

        let mut socket = connect(&serve.url, "/tell").await;
        socket.close(None).await;
        serve.expect("close 1005  3\n");

        let mut socket = connect(&serve.url, "/tell").await;
        assert_eq!(ask(&mut socket, "count").await, "1");
        drop(socket);
        serve.expect("close 1006  3\n");
    });
    serve.expect_processes(1);
}

#[test]
fn an_instance_that_goes_on_after_its_connection_is_ended() {
    let serve = Serve::start(&["--spare", "0"]);
    runtime().block_on(async {
        let mut socket = connect(&serve.url, "/tell").await;
        socket.close(frame(1000, "stay")).await;
    });
    serve.expect("the instance went on for 3 s after its connection had ended");
    serve.expect_processes(1);
}

/// What an instance does, and what the log says of it.
const OFFENCES: [(&str, &str); 11] = [
    ("throw", "Uncaught Error: boom\n"),
    ("reject", "Uncaught (in promise) Error: boom later"),
    ("timer", "Uncaught Error: boom in a timer"),
    ("loop", "it computed for more than 300 ms without a pause"),
    (
        "microtasks",
        "it computed for more than 300 ms without a pause",
    ),
    (
        "pattern",
        "it computed for more than 300 ms without a pause",
    ),
    ("memory", "it needed more than 48 MiB of memory"),
    ("objects", "it needed more than 48 MiB of memory"),
    ("text", "it needed more than 48 MiB of memory"),
    ("worker", "it computed for more than 300 ms without a pause"),
    ("stack", "the instance crashed"),
];

#[test]
fn what_an_instance_does_it_does_to_itself() {
    const OTHERS: usize = 200;
    let serve = Serve::start(&[
        "--max-busy-ms",
        "300",
        "--max-memory-mb",
        "48",
        "--spare",
        "2",
    ]);
    serve.expect_processes(3);
    let over = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicU64::new(0));
    // The others, on a thread of their own.
    let others = thread::spawn({
        let (url, over, rounds) = (serve.url.clone(), over.clone(), rounds.clone());
        move || {
            runtime().block_on(async {
                let mut all = JoinSet::new();
                for _ in 0..OTHERS {
                    let (url, over, rounds) = (url.clone(), over.clone(), rounds.clone());
                    all.spawn(async move {
                        let mut socket = connect(&url, "/").await;
                        for count in 1_u64.. {
                            assert_eq!(ask(&mut socket, "count").await, count.to_string());
                            rounds.fetch_add(1, Ordering::SeqCst);
                            if over.load(Ordering::SeqCst) {
                                break;
                            }
                        }
                        assert!(socket.close(frame(1000, "")).await.clean);
                    });
                }
                while let Some(result) = all.join_next().await {
                    result.unwrap();
                }
            });
        }
    });
    until(
        || rounds.load(Ordering::SeqCst) >= OTHERS as u64,
        || format!("{} rounds", rounds.load(Ordering::SeqCst)),
    );
    let runtime = runtime();
    for (offence, cause) in OFFENCES {
        let before = rounds.load(Ordering::SeqCst);
        let closure = runtime.block_on(async {
            let mut socket = connect(&serve.url, "/").await;
            assert_eq!(ask(&mut socket, "count").await, "1");
            socket.send(format!("do {offence}")).await.unwrap();
            end(&mut socket).await
        });
        let told = (closure.code, &*closure.reason);
        assert_eq!(told, (1011, "the handler failed"), "{offence}");
        serve.expect(cause);
        until(
            || rounds.load(Ordering::SeqCst) > before,
            || format!("the others stand still after {offence}"),
        );
    }
    over.store(true, Ordering::SeqCst);
    others.join().unwrap();
    // All memory is back but that of the template and the two spare instances.
    serve.expect_processes(3);
    assert!(serve.resident() < 64 << 10, "{} KiB", serve.resident());
}

#[test]
fn what_goes_wrong_in_close_is_told_too() {
    let serve = Serve::start(&["--spare", "0", "--max-busy-ms", "100"]);
    for (path, cause) in [
        (
            "/loop",
            "after its connection: the instance was ended: it computed",
        ),
        ("/throw", "boom in close"),
    ] {
        runtime().block_on(async {
            let mut socket = connect(&serve.url, path).await;
            assert_eq!(ask(&mut socket, "count").await, "1");
            socket.close(frame(1000, "")).await;
        });
        serve.expect(cause);
    }
    serve.expect_processes(1);
}

#[test]
fn answers_to_messages_before_a_close_still_arrive() {
    const MESSAGES: usize = 200;
    let serve = Serve::start(&["--spare", "1"]);
    runtime().block_on(async {
        let mut socket = connect(&serve.url, "/").await;
        for _ in 0..MESSAGES {
            socket.feed("count").await.unwrap();
        }
        let (mut sender, mut receiver) = socket.split();
        sender.close(frame(4000, "that was all")).await;
        for count in 1..=MESSAGES {
            let message = tokio::time::timeout(PATIENCE, receiver.next()).await;
            assert_eq!(message.unwrap().unwrap(), Some(count.to_string().into()));
        }
        assert_eq!(receiver.next().await.unwrap(), None);
        let closure = receiver.closure().unwrap();
        assert_eq!((closure.clean, closure.code), (true, 4000));
    });
}

#[test]
fn an_application_that_closes_learns_how_its_client_has_gone() {
    let serve = Serve::start(&["--spare", "1"]);
    runtime().block_on(async {
        // This one goes without an answer.
        let mut socket = connect(&serve.url, "/tell").await;
        socket.answer_by_close();
        socket.send("bye").await.unwrap();
        while !matches!(socket.next_event().await, Some(Event::CloseReceived(_))) {}
        assert!(!serve.printed().contains("close "), "{}", serve.printed());
        drop(socket);
        serve.expect("close 1006  3\n");
    });
}

#[test]
fn a_client_that_sends_and_does_not_read_is_held_up() {
    const MESSAGE: usize = 64 << 10;
    const MESSAGES: usize = 4096;
    // Without back-pressure the instance would need four times as much.
    let serve = Serve::start(&["--spare", "1", "--max-memory-mb", "64", "--no-compression"]);
    runtime().block_on(async {
        let (mut sender, mut receiver) = connect(&serve.url, "/").await.split();
        let mut sent = 0;
        while sent < MESSAGES {
            let send = sender.send(vec![7; MESSAGE]);
            match tokio::time::timeout(std::time::Duration::from_secs(2), send).await {
                Ok(result) => result.unwrap(),
                Err(_) => break,
            }
            sent += 1;
        }
        assert!(sent < MESSAGES, "the server takes it all");
        let rest = tokio::spawn(async move {
            sender.flush().await;
            sender
        });
        for _ in 0..sent {
            let message = tokio::time::timeout(PATIENCE, receiver.next()).await;
            let message = message.unwrap().unwrap();
            assert_eq!(
                message.map(|message| message.len()),
                Some(MESSAGE),
                "{}",
                serve.printed()
            );
        }
        let mut sender = rest.await.unwrap();
        sender.send("still there").await.unwrap();
        assert_eq!(receiver.next().await.unwrap(), Some("still there".into()));
    });
}

#[test]
fn what_is_too_long_for_a_client_is_told_as_what_it_is() {
    let serve = Serve::start(&["--spare", "0", "--max-memory-mb", "256"]);
    runtime().block_on(async {
        let mut socket = connect(&serve.url, "/").await;
        socket.send("long").await.unwrap();
        assert_eq!(end(&mut socket).await.code, 1011);
    });
    serve.expect("the instance was ended for what it sent: ");
    serve.expect("more than 16777216 bytes");
}

#[test]
fn spare_instances_that_have_ended_are_not_used() {
    let serve = Serve::start(&["--spare", "3"]);
    // By then the server has all that it has from the start.
    runtime().block_on(async {
        let mut socket = connect(&serve.url, "/").await;
        assert_eq!(ask(&mut socket, "count").await, "1");
        socket.close(None).await;
    });
    serve.expect_processes(4);
    for spare in &serve.processes()[1..] {
        kill("-KILL", *spare);
    }
    serve.expect_processes(1);
    runtime().block_on(async {
        for _ in 0..4 {
            let mut socket = connect(&serve.url, "/").await;
            assert_eq!(ask(&mut socket, "count").await, "1");
        }
    });
}

#[test]
fn a_server_that_watches_starts_again_when_a_file_changes() {
    let folder = std::env::temp_dir().join(format!("we-watch-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (app, part) = (folder.join("app.mjs"), folder.join("part.mjs"));
    let says = |text: &str| fs::write(&part, format!("export const text = '{text}';")).unwrap();
    says("one");
    fs::write(
        &app,
        "import { websocket } from 'we:serve'; import { text } from './part.mjs';
        export default websocket({ open(socket) { socket.send(text); } });",
    )
    .unwrap();
    let mut serve = Serve::start_app(&app.to_string_lossy(), &["--watch", "--spare", "0"]);
    let url = || {
        let printed = serve.printed();
        let last = printed
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("listening on "));
        last.unwrap().to_owned()
    };
    runtime().block_on(async {
        let mut socket = connect(&url(), "/").await;
        assert_eq!(next_text(&mut socket).await, "one");
        says("twofold");
        assert_eq!(end(&mut socket).await.code, 1001);
        serve.expect("part.mjs has changed; starting again");
        until(
            || serve.printed().matches("listening on ").count() == 2,
            || serve.printed(),
        );
        let mut socket = connect(&url(), "/").await;
        assert_eq!(next_text(&mut socket).await, "twofold");
        drop(socket);

        fs::write(&part, "export const text = ").unwrap();
        serve.expect("SyntaxError");
        serve.expect("waiting for a change");
        says("three times");
        until(
            || serve.printed().matches("listening on ").count() == 3,
            || serve.printed(),
        );
        let mut socket = connect(&url(), "/").await;
        assert_eq!(next_text(&mut socket).await, "three times");
    });
    let processes = serve.processes();
    interrupt(&serve.child);
    assert_eq!(
        wait(&mut serve.child).and_then(|status| status.code()),
        Some(0)
    );
    expect_gone(&processes);
    fs::remove_dir_all(&folder).unwrap();
}

/// Sends a signal to a process.
fn kill(signal: &str, process: u32) {
    let killed = Command::new("kill")
        .args([signal, &process.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
}

/// Waits until none of these processes is there any more.
fn expect_gone(processes: &[u32]) {
    let lives = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // One that nobody has waited for has ended.
        !stat.is_empty() && !stat.contains(") Z ")
    };
    until(
        || !processes.iter().any(lives),
        || format!("{processes:?} live on"),
    );
}

#[test]
fn no_process_outlives_its_server() {
    for signal in ["-TERM", "-KILL"] {
        let mut serve = Serve::start(&["--spare", "2"]);
        runtime().block_on(async {
            let mut sockets = Vec::new();
            for _ in 0..20 {
                let mut socket = connect(&serve.url, "/tell").await;
                // Its `close` never comes to an end.
                assert_eq!(ask(&mut socket, "stay for ever").await, "stay for ever");
                sockets.push(socket);
            }
            // The template and two spare ones, too.
            serve.expect_processes(23);
            let processes = serve.processes();
            kill(signal, serve.child.id());
            for socket in &mut sockets {
                end(socket).await;
            }
            wait(&mut serve.child);
            expect_gone(&processes);
        });
    }
}

#[test]
fn a_client_that_does_not_read_holds_up_its_instance_and_not_the_server() {
    let serve = Serve::start(&["--spare", "1", "--no-compression"]);
    let runtime = runtime();
    let mut socket = connect_to(&serve, &runtime, "/");
    let before = serve.resident();
    runtime.block_on(async {
        socket.send("flood").await.unwrap();
        // Another one is served meanwhile.
        let mut other = connect(&serve.url, "/").await;
        for count in 1..=100 {
            assert_eq!(ask(&mut other, "count").await, count.to_string());
        }
    });
    let grown = serve.resident().saturating_sub(before);
    assert!(
        grown < 4 << 10,
        "{grown} KiB for a client that does not read"
    );
    runtime.block_on(async {
        for i in 0..256 {
            let message = tokio::time::timeout(PATIENCE, socket.next()).await;
            let Some(Message::Binary(bytes)) = message.unwrap().unwrap() else {
                panic!("no binary message");
            };
            assert_eq!((bytes.len(), bytes[0]), (64 << 10, i as u8));
        }
        assert_eq!(next_text(&mut socket).await, (16 << 20).to_string());
    });
}

#[test]
fn ctrl_c_closes_connections_and_ends_all_processes() {
    let mut serve = Serve::start(&["--spare", "2"]);
    let runtime = runtime();
    let mut socket = connect_to(&serve, &runtime, "/tell");
    assert_eq!(runtime.block_on(ask(&mut socket, "count")), "1");
    let processes = serve.processes();
    interrupt(&serve.child);
    assert_eq!(runtime.block_on(end(&mut socket)).code, 1001);
    serve.expect("close 1001  3\n");
    assert_eq!(
        wait(&mut serve.child).and_then(|status| status.code()),
        Some(0)
    );
    expect_gone(&processes);
}

#[test]
fn without_its_template_a_server_goes_on_and_starts_another() {
    let serve = Serve::start(&["--spare", "1"]);
    let runtime = runtime();
    let mut socket = connect_to(&serve, &runtime, "/");
    assert_eq!(runtime.block_on(ask(&mut socket, "count")), "1");
    let template = serve.processes()[0];
    kill("-KILL", template);
    serve.expect("the template has gone; it is started again");
    assert_eq!(runtime.block_on(ask(&mut socket, "count")), "2");
    let served = Mutex::new(false);
    until(
        || {
            let mut served = served.lock().unwrap();
            runtime.block_on(async {
                // Meanwhile a client is asked to try again later: 1013.
                let mut socket = connect(&serve.url, "/").await;
                let sent = socket.send("count").await;
                *served = sent.is_ok() && matches!(socket.next().await, Ok(Some(_)));
            });
            *served
        },
        || format!("no new instance: {}", serve.printed()),
    );
    assert_eq!(runtime.block_on(ask(&mut socket, "count")), "3");
}

#[test]
fn an_application_that_cannot_serve_is_refused_with_the_reason() {
    let folder = std::env::temp_dir().join(format!("we-serve-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let cases = [
        ("export default websocket({", "SyntaxError"),
        (
            "export default 1",
            "the default export is not what websocket()",
        ),
        (
            "export const x = 1",
            "the default export is not what websocket()",
        ),
        ("throw new Error('at the top')", "Error: at the top"),
        (
            "await Promise.reject(new Error('awaited'))",
            "Error: awaited",
        ),
        (
            "await new Promise(() => {})",
            "awaits something that will never happen",
        ),
        ("import './nothing.mjs'", "nothing.mjs"),
        ("import { websocket } from 'we:nothing'", "we:nothing"),
        ("import { nothing } from 'we:serve'", "nothing"),
        (
            "import { websocket } from 'we:serve'; export default websocket({ message: 1 })",
            "\"message\" is not a function",
        ),
        (
            "import { websocket } from 'we:serve'; export default websocket({})",
            "give it an object with the functions open, message or close",
        ),
        (
            "import { room } from 'we:serve'; export default room({})",
            "the functions init, connect, message, disconnect or timer",
        ),
        (
            "import { room, routes } from 'we:serve'; const r = room({ init() {} }); export default routes({ '/a': r })",
            "\"/a\" leads to rooms; write \"/a/*\"",
        ),
        (
            "import { room, routes } from 'we:serve'; const r = room({ init() {} }); export default routes({ '/a/*': r, '/b/*': r })",
            "only one of the routes may lead to rooms",
        ),
        ("for (;;);", "it computed for more than 200 ms"),
        (
            "setInterval(() => {}, 1000); await new Promise(() => {})",
            "what does it await at its top level?",
        ),
    ];
    for (number, (text, expected)) in cases.iter().enumerate() {
        let file = folder.join(format!("{number}.mjs"));
        fs::write(&file, text).unwrap();
        let file = file.to_string_lossy();
        let output = we(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--max-busy-ms",
            "200",
            &file,
        ]);
        assert_eq!(output.code, Some(1), "{text}: {output:?}");
        // Once, not by each instance that was to wait for a connection.
        let told = output.stderr.matches(expected).count();
        assert_eq!(told, 1, "{text}: {output:?}");
        assert!(!output.stdout.contains("listening"), "{text}: {output:?}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
