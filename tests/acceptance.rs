//! The requirements that the project was started for, each against a server of `we-net`, over ws: and wss:.
//!
//! What a script does is in fixtures/scripts; what it must print is here.

#![allow(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{Scheme, Server, expect};

#[test]
fn open_is_dispatched_after_the_handshake() {
    for scheme in [Scheme::Ws, Scheme::Wss] {
        expect(
            &Server::start(scheme),
            "open.js",
            "/echo",
            &[
                r#"0 true ["","","blob"]"#,
                "script ended",
                "open Event true true 1 chat.v1",
                "microtask",
                "second listener",
                "close true 3",
            ],
        );
    }
}

#[test]
fn strings_buffers_views_and_blobs_round_trip() {
    for scheme in [Scheme::Ws, Scheme::Wss] {
        expect(
            &Server::start(scheme),
            "roundtrip.js",
            "/echo",
            &["43 of 43 1000"],
        );
    }
}

#[test]
fn binary_type_is_read_when_the_event_fires() {
    expect(
        &Server::start(Scheme::Ws),
        "binary_type.js",
        "/echo",
        &[
            "blob",
            "blob",
            "Blob 1 true true",
            "ArrayBuffer 1 true true",
            "Blob 1 true true",
            r#"bytes 1 """#,
            r#"bytes 3 """#,
        ],
    );
}

#[test]
fn close_runs_the_closing_handshake_and_checks_its_arguments() {
    for scheme in [Scheme::Ws, Scheme::Wss] {
        let server = Server::start(scheme);
        expect(
            &server,
            "close.js",
            "/hold",
            &[
                "send DOMException InvalidStateError 11",
                "reason DOMException SyntaxError 12",
                "both DOMException InvalidAccessError 15",
                "state 1",
                "state 2",
                "send nothing thrown 7",
                "CloseEvent true 1000 bye 3",
                "send nothing thrown 18",
            ],
        );
        assert_eq!(server.closes(), ["1000 bye"]);
    }
}

#[test]
fn close_without_arguments_sends_an_empty_close_frame() {
    let server = Server::start(Scheme::Ws);
    expect(
        &server,
        "close_without_arguments.js",
        "/hold",
        &[r#"true 1005 """#],
    );
    assert_eq!(server.closes(), ["none"]);
}

#[test]
fn a_server_initiated_close_delivers_its_code_and_reason() {
    for scheme in [Scheme::Ws, Scheme::Wss] {
        let server = Server::start(scheme);
        expect(
            &server,
            "watch.js",
            "/close/4001/see%20you",
            &["Event open 1 ", "CloseEvent close 3 true 4001 see%20you"],
        );
        expect(
            &server,
            "watch.js",
            "/close",
            &["Event open 1 ", "CloseEvent close 3 true 1005 "],
        );
    }
}

#[test]
fn an_abrupt_end_delivers_error_and_then_close_1006() {
    for scheme in [Scheme::Ws, Scheme::Wss] {
        expect(
            &Server::start(scheme),
            "watch.js",
            "/drop",
            &[
                "Event open 1 ",
                "Event error 3 ",
                "CloseEvent close 3 false 1006 ",
            ],
        );
    }
}

#[test]
fn a_connection_that_cannot_be_made_delivers_error_and_then_close_1006() {
    let server = Server::start(Scheme::Ws);
    let refused = server.url("/echo");
    drop(server);
    let output = common::we(&["run", &common::script("watch.js"), &refused]);
    assert_eq!(
        output.lines(),
        ["Event error 3 ", "CloseEvent close 3 false 1006 "],
        "{output:?}"
    );
    let lines: Vec<_> = output.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{output:?}");
    assert!(
        lines[0].contains(&refused) && lines[0].contains("refused"),
        "{output:?}"
    );
}

#[test]
fn close_while_connecting_fails_the_connection() {
    expect(
        &Server::start(Scheme::Ws),
        "close_while_connecting.js",
        "/echo",
        &["state 2", "error 3", "close false 1006 3"],
    );
}

#[test]
fn messages_that_arrive_after_close_are_dropped() {
    expect(
        &Server::start(Scheme::Ws),
        "messages_after_close.js",
        "/deliver/500",
        &["1 true"],
    );
}

#[test]
fn buffered_amount_counts_what_the_network_has_not_taken() {
    expect(
        &Server::start(Scheme::Ws),
        "buffered_amount.js",
        "/echo",
        &[
            "0,3,12,15,20,20,23,4194327",
            "stable true",
            "all back 0",
            "closing 4",
            "closed 6",
        ],
    );
}

#[test]
fn every_event_is_a_task_with_a_microtask_checkpoint_after_each_listener() {
    expect(
        &Server::start(Scheme::Ws),
        "task_per_event.js",
        "/deliver/3",
        &["a0 m0 b0 a1 m1 b1 Error: reported, and nothing is lost a2 m2 b2"],
    );
}

#[test]
fn a_busy_script_does_not_stop_pings_from_being_answered() {
    let server = Server::start(Scheme::Ws);
    expect(&server, "busy.js", "/pings", &["done"]);
    let pings = server.pings().expect("all pings were answered");
    assert!(pings.answered < Duration::from_secs(3), "{pings:?}");
    assert!(
        pings.then_silent > Duration::from_secs(1),
        "the script was busy meanwhile: {pings:?}"
    );
}

#[test]
fn subclassing_works() {
    expect(
        &Server::start(Scheme::Ws),
        "subclass.js",
        "/echo",
        &["true chat.v2 ONE+TWO 3000"],
    );
}

#[test]
fn the_constructor_checks_in_the_order_of_the_standard() {
    let server = Server::start(Scheme::Ws);
    expect(
        &server,
        "constructor.js",
        "/echo",
        &[
            "TypeError",
            "SyntaxError SyntaxError SyntaxError SyntaxError SyntaxError",
            "SyntaxError SyntaxError",
            "SyntaxError SyntaxError SyntaxError SyntaxError SyntaxError",
            "SyntaxError TypeError",
            "true true true",
            "ws://user:pass@localhost/b?c",
        ],
    );
}

#[test]
fn a_blocked_port_fails_as_any_other_connection() {
    // Refused before anything is dialled: the operator reads why.
    let output = common::we(&["run", &common::script("bad_port.js")]);
    assert_eq!(
        output.lines(),
        ["constructed 0", "Event error", r#"false 1006 """#],
        "{output:?}"
    );
    assert!(
        output.stderr.contains("port 25") && output.stderr.contains("blocked"),
        "{output:?}"
    );
}

#[test]
fn what_is_sent_is_converted_to_strings_first() {
    expect(
        &Server::start(Scheme::Ws),
        "conversions.js",
        "/echo",
        &["1 fffd", "4000 1,2,3", "4002 a%uFFFD%0D%0Ab"],
    );
}

#[test]
fn handlers_may_close_send_connect_and_throw() {
    expect(
        &Server::start(Scheme::Ws),
        "reentrant.js",
        "/echo",
        &["4000,inner open,one"],
    );
}

#[test]
fn an_unreferenced_socket_lives_until_it_is_closed() {
    expect(
        &Server::start(Scheme::Ws),
        "unreferenced.js",
        "/echo",
        &["closed after 20"],
    );
}

#[test]
fn a_closed_socket_is_collected() {
    expect(
        &Server::start(Scheme::Ws),
        "collected.js",
        "/echo",
        &["collected true"],
    );
}

#[test]
fn an_unreferenced_stream_lives_until_it_is_closed() {
    for scheme in [Scheme::Ws, Scheme::Wss] {
        expect(
            &Server::start(scheme),
            "stream_unreferenced.js",
            "/echo",
            &["read 20", "collected true"],
        );
    }
}

#[test]
fn a_worker_with_a_stream_that_waits_can_be_terminated() {
    expect(
        &Server::start(Scheme::Ws),
        "stream_worker.js",
        "/echo",
        &["terminated while it waits"],
    );
}

#[test]
fn ten_thousand_sockets_are_all_collected() {
    expect(
        &Server::start(Scheme::Ws),
        "many.js",
        "/echo",
        &["10000 closed, 0 alive"],
    );
}
