//! Against an implementation that nobody here wrote: the `ws` package of npm, as server and as client.
//!
//! `WE_PEERS` names a folder in which `npm install ws` has run; CI sets it. Without it these tests say so and pass.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use common::peers::{Guard, peer};
use common::{script, wait, we};

#[test]
fn a_script_talks_to_a_ws_server() {
    let Some(mut server) = peer("ws_server.cjs", &[]) else {
        return;
    };
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let _server = Guard(server);
    let port = lines.next().unwrap().unwrap();
    let output = we(&["run", &script("peer.js"), &format!("ws://127.0.0.1:{port}")]);
    assert_eq!(
        output.lines(),
        [
            "/echo open:chat:permessage-deflate  text ü€😀 65536 [1,2,3]/3 [9,9,9,9]/16777216 [98,108,111,98]/4 true 3000 enough",
            "/fragments open::permessage-deflate one two three [1,2,3]/3 true 1005 ",
            "/bye open::permessage-deflate true 4002 server says bye",
            "/terminate open::permessage-deflate error false 1006 ",
        ],
        "{output:?}"
    );
    let seen: Vec<String> = lines.by_ref().map(Result::unwrap).take(3).collect();
    assert_eq!(seen, ["close 3000 enough", "pong between", "close 1005 "]);
}

#[test]
fn a_ws_client_talks_to_our_server() {
    let mut echo = Command::new(env!("CARGO_BIN_EXE_we"))
        .args(["echo", "--listen", "127.0.0.1:0", "--subprotocol", "chat"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(echo.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let _echo = Guard(echo);
    let url = line.trim().strip_prefix("listening on ").unwrap();
    let Some(mut client) = peer("ws_client.cjs", &[url]) else {
        return;
    };
    let lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut client = Guard(client);
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(
        lines,
        [
            r#"open chat "permessage-deflate""#,
            "pong ping",
            "close 14 3001 read all"
        ]
    );
    assert!(wait(&mut client.0).unwrap().success());
}
