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
        "const ws = new WebSocket('{}');
         ws.onopen = () => {{ ws.send('small'); ws.send(new Uint8Array(2 << 20)); ws.send('small'); }};
         ws.onmessage = ({{ data }}) => log(data);
         ws.onerror = () => log('error');
         ws.onclose = e => log(e.wasClean, e.code, ws.bufferedAmount > 0);",
        echo_server()
    );
    let outcome = run_with(&script, options);
    // On a slow machine the first message may have left, and come back, before the second is sent.
    let log: Vec<_> = outcome.log.iter().map(String::as_str).collect();
    let log = log.strip_prefix(&["small"]).unwrap_or(&log);
    assert_eq!(log, ["error", "false 1006 true"]);
}
