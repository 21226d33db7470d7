//! Limits that the embedder sets: what a script sees when it runs into one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{echo_server, run_with};
use we_js::Options;
use we_net::{Client, protocol::Config};

#[test]
fn a_socket_whose_buffer_is_full_is_failed_and_loses_nothing_in_silence() {
    let mut config = Config::default();
    config.limits.max_pending_output = 1 << 20;
    let mut options = Options::default();
    options.client = Client::builder().config(config).build();
    let script = format!(
        "const ws = new WebSocket('{}'); const part = new Uint8Array(512 << 10);
         ws.onopen = () => {{ for (let i = 0; i < 40; i++) ws.send(part); }};
         ws.onmessage = () => log('a message went through');
         ws.onerror = () => log('error');
         ws.onclose = e => log(e.wasClean, e.code, ws.bufferedAmount > 0);",
        echo_server()
    );
    let outcome = run_with(&script, options);
    // On a slow machine some messages may have left, and come back, before the next is sent.
    let log = outcome.log.iter().map(String::as_str);
    let log: Vec<_> = log
        .skip_while(|line| *line == "a message went through")
        .collect();
    assert_eq!(log, ["error", "false 1006 true"]);
}
