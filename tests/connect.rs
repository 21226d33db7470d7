//! `we connect`: what it sends, what it prints, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use common::{FLOOD, Output, Scheme, Server, client::Client, interrupt, we, we_with_input};

/// `we connect` with text on standard input.
fn connect(input: &str, args: &[&str]) -> Output {
    we_with_input(&[&["connect"], args].concat(), input)
}

#[test]
fn lines_go_to_the_server_and_messages_come_back_as_lines() {
    let server = Server::start(Scheme::Ws);
    let url = server.url("/echo");
    // The last line has no end, one is empty, and a slash means nothing.
    let output = connect("hello\n\n/close\r\nünïcode", &["--linger", "0", &url]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str(), output.code),
        ("hello\n\n/close\nünïcode\n", "", Some(0)),
    );
    // Without a scheme it is ws:.
    let output = connect("hello\n", &[url.strip_prefix("ws://").unwrap()]);
    assert_eq!((output.stdout.as_str(), output.code), ("hello\n", Some(0)));
    let secure = Server::start(Scheme::Wss);
    let ca = secure.ca.as_ref().unwrap().to_str().unwrap();
    let args = ["--linger", "0", "--ca", ca, &secure.url("/echo")];
    assert_eq!(connect("hello\n", &args).stdout, "hello\n");
}

#[test]
fn replies_are_waited_for_after_the_end_of_the_input() {
    let server = Server::start(Scheme::Ws);
    let url = server.url("/think");
    for linger in ["50", "forever"] {
        let output = connect("question\n", &["--linger", linger, &url]);
        assert_eq!(
            (output.stdout.as_str(), output.code),
            ("question\n", Some(0)),
            "{output:?}"
        );
    }
    // Each of them comes in less than a second, all of them do not.
    let output = connect("question\n", &[&server.url("/trickle/8")]);
    assert_eq!(output.lines().len(), 8, "{output:?}");
    let output = connect("x\n", &["--linger", "0.01", &server.url("/hold")]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(server.closes(), ["1000 "]);
    for wrong in ["-1", "soon", "nan"] {
        let linger = format!("--linger={wrong}");
        assert_eq!(connect("", &[&linger, &url]).code, Some(2), "{wrong}");
    }
}

#[test]
fn bytes_pass_unchanged() {
    let server = Server::start(Scheme::Ws);
    let url = server.url("/echo");
    let all: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    for one in [&[][..], &["--one"]] {
        let args = [&["--binary", "--linger", "0", &url], one].concat();
        let mut client = Client::start(&args);
        let mut stdin = client.stdin.take().unwrap();
        let to_send = all.clone();
        let writer = thread::spawn(move || stdin.write_all(&to_send).unwrap());
        let mut received = Vec::new();
        let stdout = client.stdout.as_mut().unwrap();
        stdout.read_to_end(&mut received).unwrap();
        writer.join().unwrap();
        assert!(received == all, "{one:?}: {}", received.len());
        assert_eq!(client.end(), (Some(0), String::new()));
    }
    let output = connect("a\nb", &["--one", "--linger", "0", "--timestamps", &url]);
    assert_eq!(output.lines().len(), 2, "{output:?}");
    assert!(output.stdout.ends_with(" < a\nb\n"), "{output:?}");
}

#[test]
fn commands_do_what_they_say() {
    let server = Server::start(Scheme::Ws);
    let file = std::env::temp_dir().join(format!("we-connect-file-{}", std::process::id()));
    std::fs::write(&file, b"\x01\x02").unwrap();
    let input = format!(
        "/binary 00 ff\n//text\n/file {}\n/close 4000 enough\nnot sent\n",
        file.display()
    );
    let output = connect(&input, &["--commands", &server.url("/echo")]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str(), output.code),
        ("00ff\n/text\n0102\n", "", Some(0)),
    );
    let output = connect(
        "/close 4000 enough\n",
        &["--commands", &server.url("/hold")],
    );
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(server.closes(), ["4000 enough"]);

    let args = ["--commands", "--timestamps", "--echo", &server.url("/echo")];
    let output = connect("/binary 41 00\n", &args);
    let lines: Vec<&str> = output.lines();
    let dump = format!("  00000000  {:23}  {:23}  |A.|", "41 00", "");
    let [sent, sent_bytes, received, received_bytes] = lines[..] else {
        panic!("{output:?}");
    };
    assert!(sent.ends_with("Z > binary, 2 bytes"), "{output:?}");
    assert!(received.ends_with("Z < binary, 2 bytes"), "{output:?}");
    assert_eq!([sent_bytes, received_bytes], [dump.as_str(), &dump]);
}

#[test]
fn a_mistake_in_a_pipe_ends_with_1_after_what_came_before_it() {
    let server = Server::start(Scheme::Ws);
    let url = server.url("/echo");
    for (args, input, problem) in [
        (
            &["--commands"][..],
            "a\n/fly\nb\n",
            "line 2 of standard input: there is no command /fly",
        ),
        (&["--max-message", "3"], "a\nlong\nb\n", "--max-message"),
        (&["--max-message", "3", "--one"], "long", "--max-message"),
    ] {
        let output = connect(input, &[args, &[&url]].concat());
        let before = if args.contains(&"--one") { "" } else { "a\n" };
        assert_eq!(
            (output.stdout.as_str(), output.code),
            (before, Some(1)),
            "{output:?}"
        );
        assert!(
            output.stderr.starts_with("we: ") && output.stderr.contains(problem),
            "{output:?}"
        );
    }
}

#[test]
fn headers_origin_and_subprotocol_arrive() {
    let server = Server::start(Scheme::Ws);
    let url = server.url("/header/x-token");
    let output = connect(
        "",
        &["--header", "X-Token: a:b", "--linger", "forever", &url],
    );
    assert_eq!((output.stdout.as_str(), output.code), ("a:b\n", Some(0)));
    let url = server.url("/origin");
    let output = connect("", &["--origin", "https://page.test", &url]);
    assert_eq!(output.stdout, "https://page.test\n", "{output:?}");
    for option in ["--protocol", "--subprotocol"] {
        let url = server.url("/close/1000");
        let args = [
            "-v", option, "x", option, "chat.v1", "--linger", "forever", &url,
        ];
        let output = connect("", &args);
        assert!(
            output
                .stderr
                .contains(&format!("connected to {url} at 127.0.0.1:"))
                && output.stderr.contains(", subprotocol chat.v1\n"),
            "{output:?}"
        );
    }
}

#[test]
fn the_end_says_whose_it_was_and_shows_in_the_exit_code() {
    let server = Server::start(Scheme::Ws);
    for (path, code, said) in [
        ("/close/1000", 0, "closed by the server with 1000\n"),
        (
            "/close/1001/later",
            0,
            "closed by the server with 1001: later\n",
        ),
        ("/close", 0, "closed by the server without a code\n"),
        (
            "/close/4001/too slow",
            1,
            "closed by the server with 4001: too slow\n",
        ),
    ] {
        let url = server.url(&path.replace(' ', "%20"));
        let said = said.replace("too slow", "too%20slow");
        let output = connect("", &["-v", "--linger", "forever", &url]);
        assert_eq!(output.code, Some(code), "{path}: {output:?}");
        assert!(
            output.stderr.ends_with(&format!(" * {said}")),
            "{path}: {output:?}"
        );
        // In a pipe only what is wrong is said.
        let output = connect("", &["--linger", "forever", &url]);
        let expected = if code == 0 {
            String::new()
        } else {
            format!("we: {said}")
        };
        assert_eq!(
            (output.code, output.stderr),
            (Some(code), expected),
            "{path}"
        );
    }
    let output = connect("x\n", &["--linger", "forever", &server.url("/drop")]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        output.stderr.starts_with("we: the connection was lost: "),
        "{output:?}"
    );
    let output = connect("", &["-v", "--linger", "0", &server.url("/hold")]);
    assert!(
        output
            .stderr
            .ends_with(" * closed by this side; the server answered with 1000\n"),
        "{output:?}"
    );
}

#[test]
fn a_message_that_is_too_long_says_what_allows_it() {
    let server = Server::start(Scheme::Ws);
    let url = server.url("/flood/1");
    let less = (FLOOD - 1).to_string();
    let output = connect("", &["--max-message", &less, "--linger", "forever", &url]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("--max-message"), "{output:?}");
    let enough = FLOOD.to_string();
    let output = connect("", &["--max-message", &enough, "--linger", "forever", &url]);
    assert_eq!((output.stdout.len(), output.code), (FLOOD + 1, Some(0)));
}

#[test]
fn pings_are_answered_shown_and_sent() {
    let server = Server::start(Scheme::Ws);
    let mut client = Client::start(&["--commands", "--show-pings", &server.url("/pings")]);
    for _ in 0..10 {
        client.hear_aside("* ping \"are you there\", answered");
    }
    client.say("/ping hello\n");
    client.hear_aside("* pong \"hello\" after ");
    client.say("/ping\n");
    client.hear_aside("* pong \"1\" after ");
    client.stdin = None;
    let (code, _) = client.end();
    assert_eq!(code, Some(0));
    // Without being asked to it tells only of the pong that was asked for.
    let args = ["--commands", &server.url("/pings")];
    let output = connect("/ping hello\n", &args);
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert!(
        output.stderr.contains("* pong \"hello\" after "),
        "{output:?}"
    );
}

#[test]
fn a_server_that_answers_no_ping_is_given_up() {
    let server = Server::start(Scheme::Ws);
    let client = Client::start(&["--ping", "0.1", &server.url("/mute")]);
    let (code, said) = client.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.starts_with("we: the connection was lost: ")
            && said.contains("ping")
            && said.contains("for 0.1 s"),
        "{said}"
    );
    // One that answers is kept.
    let mut client = Client::start(&["--trace-net", "--ping", "0.1", &server.url("/hold")]);
    for _ in 0..3 {
        client.hear_aside("direction=In opcode=Pong");
    }
    client.stdin = None;
    assert_eq!(client.end().0, Some(0));
}

#[test]
fn ctrl_c_closes_with_1001_and_waits_for_no_silent_server() {
    let server = Server::start(Scheme::Ws);
    for path in ["/hold", "/mute"] {
        let mut client = Client::start(&["-v", &server.url(path)]);
        client.hear_aside("* connected");
        interrupt(&client.child);
        client.hear_aside("press Ctrl-C again");
        assert_eq!(client.end().0, Some(130), "{path}");
    }
    assert_eq!(server.closes(), ["1001 "]);

    // Before there is a connection there is nothing to close.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = Client::start(&[&address]);
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = [0; 4];
    stream.read_exact(&mut request).unwrap();
    interrupt(&client.child);
    assert_eq!(client.end(), (Some(130), String::new()));
}

#[test]
fn a_connection_that_cannot_be_made_is_one_clear_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    for (url, expected) in [
        (address.as_str(), "is the server running"),
        ("gopher://host/", "use ws: or wss:"),
        ("ws://", "ws://host/path"),
    ] {
        let output = we(&["connect", url]);
        assert_eq!(
            (output.stderr.lines().count(), output.code),
            (1, Some(1)),
            "{output:?}"
        );
        assert!(
            output.stderr.starts_with("we: ") && output.stderr.contains(expected),
            "{output:?}"
        );
    }
    assert_eq!(we(&["connect"]).code, Some(2));
}
