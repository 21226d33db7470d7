//! Servers for tests: of scripts, and of whatever a test wants.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use super::Agent;
use crate::Options;

/// A server of another origin than every other one, for as long as the process lives.
pub(crate) struct HttpServer {
    /// `http://127.0.0.1:port`
    pub(crate) origin: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Path to head (without status line and length) and body.
    answers: HashMap<String, (String, String)>,
    requests: Vec<String>,
}

impl HttpServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let served = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                // A client that has gone is none of ours.
                thread::spawn(move || serve_script(stream, &served));
            }
        });
        Self { origin, state }
    }

    /// Answers a path with lines of a head, each ended by `\n`, and a body. With a `Location` it is a redirect.
    pub(crate) fn answer(&self, path: &str, head: &str, body: &str) -> &Self {
        let answer = (head.replace('\n', "\r\n"), body.to_owned());
        let mut state = self.state.lock().unwrap();
        state.answers.insert(path.to_owned(), answer);
        drop(state);
        self
    }

    /// A script that everybody may use.
    pub(crate) fn script(&self, path: &str, body: &str) -> &Self {
        let head = "Content-Type: text/javascript\nAccess-Control-Allow-Origin: *\n";
        self.answer(path, head, body)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// What was requested since the last call: each path, followed by the `Origin` header if there was one.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }
}

fn serve_script(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut seen = path.clone();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("origin")
        {
            seen = format!("{seen} {value}");
        }
    }
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests.push(seen);
        state.answers.get(&path).cloned()
    };
    let text = match answer {
        Some((head, body)) => {
            let status = if head.contains("Location:") {
                "302 Found"
            } else {
                "200 OK"
            };
            let length = body.len();
            format!("HTTP/1.1 {status}\r\n{head}Content-Length: {length}\r\n\r\n{body}")
        }
        None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(text.as_bytes())
}

/// Reads a request, to the end of its body.
fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert_ne!(read, 0, "{text}");
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().unwrap());
        let is_complete = if head.contains("Transfer-Encoding: chunked") {
            body.ends_with("0\r\n\r\n")
        } else {
            body.len() >= length
        };
        if is_complete || read == 0 {
            return text;
        }
    }
}

/// A server that lives as long as the process: each connection has a thread, and is given to `answer` with its request.
pub(crate) fn serve(answer: impl Fn(&str, TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let answer = answer.clone();
            thread::spawn(move || {
                let request = request(&mut stream);
                answer(&request, stream);
            });
        }
    });
    origin
}

/// An agent whose scripts believe in a base URL of this server and perhaps in an origin, and find `server`.
pub(crate) fn agent(server: &str, origin: Option<&str>) -> Agent {
    let mut agent = Agent::with(Options {
        origin: origin.map(|origin| origin.parse::<url::Url>().unwrap().origin()),
        base_url: Some(format!("{server}/base/").parse().unwrap()),
        ..Options::default()
    });
    agent
        .eval(&format!("globalThis.server = '{server}'"))
        .unwrap();
    agent
}
