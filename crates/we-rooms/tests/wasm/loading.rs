//! What is no service is refused when it is loaded, by name.

use we_rooms::wasm::{WasmError, WasmLimits, WasmServices};

use crate::common::{Site, narrow};

/// A service that does nothing, but for `more`.
fn service(more: &str) -> String {
    format!(
        r#"(module {more}
            (memory (export "memory") 2)
            (func (export "we_abi_version") (result i32) i32.const 1)
            (func (export "we_alloc") (param i32) (result i32) i32.const 65536)
            (func (export "we_message") (param i64 i32 i32 i32)))"#
    )
}

fn load(text: &str, limits: WasmLimits) -> Result<WasmServices, WasmError> {
    WasmServices::load(wat::parse_str(text).unwrap(), limits)
}

/// The module that the documentation shows.
fn echo() -> &'static str {
    let text = include_str!("../../src/wasm/abi.md");
    let module = text
        .split("```")
        .find_map(|part| part.strip_prefix("wat\n"));
    module.unwrap()
}

#[test]
fn what_is_no_service_is_told_why() {
    let plain = service("");
    assert!(load(&plain, narrow()).is_ok());
    for (module, expected) in [
        (
            "(module)".to_owned(),
            &[
                "exports no `memory`",
                "exports no `we_abi_version() -> i32`",
                "exports no `we_alloc(i32) -> i32`",
                "exports no `we_message(i64, i32, i32, i32)`",
            ][..],
        ),
        (
            plain.replace("(param i64 i32 i32 i32)", "(param i32 i32 i32 i32)"),
            &["`we_message` has another signature than `we_message(i64, i32, i32, i32)`"],
        ),
        (
            service(r#"(global (export "we_timer") i32 i32.const 0)"#),
            &["export `we_timer` is not `we_timer()`"],
        ),
        (
            service(r#"(func (export "we_connect") (param i64))"#),
            &["`we_connect` has another signature than `we_connect(i64, i32, i32)`"],
        ),
        (
            service(r#"(import "env" "time" (func))"#),
            &["imports `time` of `env`"],
        ),
        (
            service(r#"(import "we" "receive" (func))"#),
            &["imports `receive` of `we`"],
        ),
        (
            service(r#"(import "env" "we_service" (func))"#),
            &["nothing defines `we_service`"],
        ),
        (
            service(r#"(import "we" "log" (func (param i64)))"#),
            &["`we::log`", "incompatible"],
        ),
        (
            service(r#"(import "wasi_snapshot_preview1" "fd_write" (func (result i32)))"#),
            &["fd_write", "incompatible"],
        ),
        (
            plain.replace("i32.const 1)", "i32.const 7)"),
            &["version 7 of the interface", "this is version 1"],
        ),
        (
            plain.replace("i32.const 1)", "(loop br 0) i32.const 1)"),
            &["failed in its beginning", "computed for more than 300 ms"],
        ),
        (
            plain.replace("i32.const 1)", "unreachable)"),
            &["failed in its beginning"],
        ),
        (
            plain.replace(r#""memory") 2)"#, r#""memory") 1000)"#),
            &["memory"],
        ),
        (
            service(
                r#"(import "we" "set_timer" (func $set (param i64)))
                (start $begin) (func $begin (call $set (i64.const 1)))"#,
            ),
            &["called set_timer before its room began"],
        ),
    ] {
        let problem = load(&module, narrow()).unwrap_err().to_string();
        for part in expected {
            assert!(problem.contains(part), "{problem}\n  lacks {part}");
        }
    }
}

#[test]
fn what_is_no_module_is_told_why() {
    for (bytes, expected) in [
        (&b""[..], "no WebAssembly module"),
        (b"export default {}", "no WebAssembly module"),
        (b"\0asm\x02\0\0\0", "no WebAssembly module"),
        (b"\0asm\x0d\0\x01\0", "a WebAssembly component"),
        (b"\0asm\x01\0\0\0\xff\xff", "not valid"),
    ] {
        let error = WasmServices::load(bytes, WasmLimits::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = WasmServices::load_file("no/such.wasm", WasmLimits::default()).unwrap_err();
    assert!(
        error.to_string().contains("no/such.wasm cannot be read"),
        "{error}"
    );
}

/// The module of the documentation: no more is needed, and no language in particular.
#[tokio::test]
async fn the_echo_of_the_documentation_runs() {
    let text = include_str!("../../src/wasm/abi.md");
    let module = text
        .split("```")
        .find_map(|part| part.strip_prefix("wat\n"));
    let mut site = Site::new(load(module.unwrap(), narrow()).unwrap()).await;
    let mut ada = site.enter("1").await;
    assert_eq!(ada.ask("hello").await, "hello");
    assert_eq!(ada.ask("").await, "");
    site.no_problem();
}

/// Whatever a module does in its first moments, the room ends and the server stays.
#[tokio::test]
async fn a_beginning_may_fail() {
    for (more, expected) in [
        (
            r#"(func (export "we_init") unreachable)"#,
            "failed in we_init",
        ),
        (
            r#"(func (export "_initialize") (loop br 0))"#,
            "failed in _initialize: it computed",
        ),
        (
            r#"(func (export "we_connect") (param i64 i32 i32)
                (drop (i32.load (i32.const -1))))"#,
            "failed in we_connect: it trapped: out of bounds memory access",
        ),
    ] {
        let mut site = Site::new(load(&service(more), narrow()).unwrap()).await;
        let mut ada = site.enter("1").await;
        assert_eq!(ada.closes().await.0, 1011);
        let problem = site.problem("1").await;
        assert!(problem.contains(expected), "{problem}");
    }
}

/// Where a guest wants its bytes is looked at as everything that it says.
#[tokio::test]
async fn a_buffer_must_be_in_the_memory() {
    for address in ["0", "-1", "131072", "131070"] {
        let constant = format!("i32.const {address}");
        let module = service("").replace("i32.const 65536", &constant);
        let mut site = Site::new(load(&module, narrow()).unwrap()).await;
        let mut ada = site.enter("1").await;
        ada.say("hello").await;
        assert_eq!(ada.closes().await.0, 1011);
        let problem = site.problem("1").await;
        assert!(
            problem.contains("we_alloc returned no address"),
            "{problem}"
        );
    }
}

/// To the last page, and the last entry.
#[tokio::test]
async fn memory_and_tables_are_bounded() {
    let module = echo().replacen(
        r#"(func (export "we_abi_version")"#,
        r#"(table 1 funcref)
        (func $expect (param $found i32) (param $expected i32)
            (if (i32.ne (local.get $found) (local.get $expected)) (then unreachable)))
        (func (export "we_init")
            ;; 32 pages of 256.
            (call $expect (memory.grow (i32.const 225)) (i32.const -1))
            (call $expect (memory.grow (i32.const 224)) (i32.const 32))
            (call $expect (memory.grow (i32.const 1)) (i32.const -1))
            ;; 1 entry of 131072.
            (call $expect (table.grow (ref.null func) (i32.const 131072)) (i32.const -1))
            (call $expect (table.grow (ref.null func) (i32.const 131071)) (i32.const 1))
            (call $expect (table.grow (ref.null func) (i32.const 1)) (i32.const -1)))
        (func (export "we_abi_version")"#,
        1,
    );
    let mut site = Site::new(load(&module, narrow()).unwrap()).await;
    let mut ada = site.enter("1").await;
    assert_eq!(ada.ask("hello").await, "hello");
    site.no_problem();
}
