//! Modules for WASI: they run, and have no rights.

use we_net::Message;
use we_rooms::wasm::WasmLimits;

use crate::common::{Site, load, narrow};

async fn site() -> Site {
    Site::new(load("wasi.wasm", WasmLimits::default())).await
}

#[tokio::test]
async fn there_is_nothing_to_find() {
    // The test has all of these itself.
    assert!(std::env::args().count() > 0 && std::env::vars().count() > 0);
    let mut site = site().await;
    let mut ada = site.enter("1").await;
    for (what, expected) in [
        ("arguments", "0"),
        ("environment", "0"),
        ("read", "false"),
        ("write", "false"),
        ("list", "false"),
        ("connect", "false"),
    ] {
        assert_eq!(ada.ask(what).await, expected, "{what}");
    }
    assert!(!std::path::Path::new("we-test-file").exists());
    site.no_problem();
}

#[tokio::test]
async fn what_is_printed_is_logged() {
    let mut site = site().await;
    let mut ada = site.enter("garden").await;
    assert_eq!(ada.ask("print").await, "printed");
    let lines = site.lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[..2],
        ["garden begins", "half a line, and the other half"]
    );
    assert_eq!(lines[2].len(), 4096);
    site.no_problem();
}

#[tokio::test]
async fn clock_and_random_are_there() {
    let mut site = site().await;
    let mut ada = site.enter("1").await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let seconds: u64 = ada.ask("time").await.parse().unwrap();
    assert!(seconds.abs_diff(now.as_secs()) < 120, "{seconds}");
    assert_eq!(ada.ask("passes").await, "passed");
    // The keys of two instances: that they are equal has a chance of 1 in 2^128.
    let mut grace = site.enter("2").await;
    assert_ne!(ada.ask("random").await, grace.ask("random").await);
    site.no_problem();
}

#[tokio::test]
async fn exit_and_sleep_end_the_service() {
    let mut site = site().await;
    for (what, expected) in [
        ("exit", "ended itself with exit code 7"),
        ("sleep", "poll_oneoff"),
        ("panic", "panicked at 'as told'"),
    ] {
        let mut ada = site.enter("1").await;
        ada.say(what).await;
        assert_eq!(ada.closes().await.0, 1011);
        let problem = site.problem("1").await;
        assert!(problem.contains(expected), "{problem}");
    }
}

/// Whatever is written where, it is looked at; and what is written at once is bounded.
#[tokio::test]
async fn pointers_are_looked_at() {
    let module = |body: &str| {
        let text = format!(
            r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "we" "send" (func $send (param i32 i64 i32 i32 i32)))
            (memory (export "memory") 4)
            (func (export "we_abi_version") (result i32) i32.const 1)
            (func (export "we_alloc") (param i32) (result i32) i32.const 65536)
            ;; What is returned is sent back as 4 bytes, behind what is at 104.
            (func (export "we_message") (param $client i64) (param i32 i32 i32)
                (i32.store (i32.const 100) ({body}))
                (call $send (i32.const 0) (local.get $client) (i32.const 0) (i32.const 100) (i32.const 8))))"#
        );
        let module = wat::parse_str(text).unwrap();
        we_rooms::wasm::WasmServices::load(module, narrow()).unwrap()
    };
    for (body, expected) in [
        (
            "call $random (i32.const -1) (i32.const 100)",
            "called random_get with 100 bytes",
        ),
        (
            "call $write (i32.const 1) (i32.const -1) (i32.const 1) (i32.const 0)",
            "called fd_write",
        ),
        (
            "call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const -2)",
            "called fd_write",
        ),
        (
            "call $time (i32.const 0) (i64.const 0) (i32.const -4)",
            "called clock_time_get",
        ),
        (
            "call $environ (i32.const 262142) (i32.const 0)",
            "called args_sizes_get or",
        ),
    ] {
        let mut site = Site::new(module(body)).await;
        let mut ada = site.enter("1").await;
        ada.say("go").await;
        assert_eq!(ada.closes().await.0, 1011);
        let problem = site.problem("1").await;
        assert!(problem.contains(expected), "{problem}");
    }
    for (body, expected) in [
        // Returns 28 (INVAL) above 1 MiB, whatever the address.
        ("call $random (i32.const 0) (i32.const 1048577)", [28, 0]),
        (
            "call $time (i32.const 7) (i64.const 0) (i32.const 0)",
            [28, 0],
        ),
        (
            "call $write (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0)",
            [8, 0],
        ),
        (
            "call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) \
             (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)",
            [8, 0],
        ),
        // The piece at 0 is all of the memory but its end: 64 KiB are taken.
        (
            "block (result i32) (i32.store (i32.const 4) (i32.const 262000)) \
             (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 104))",
            [0, 65536],
        ),
    ] {
        let mut site = Site::new(module(body)).await;
        let mut ada = site.enter("1").await;
        ada.say("go").await;
        let bytes: Vec<u8> = expected
            .iter()
            .flat_map(|n: &u32| n.to_le_bytes())
            .collect();
        assert_eq!(ada.hear().await, Message::binary(bytes), "{body}");
        site.no_problem();
    }
}
