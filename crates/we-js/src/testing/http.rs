//! A server of scripts for tests.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

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
                thread::spawn(move || serve(stream, &served));
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

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
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
