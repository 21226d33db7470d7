//! Runs the applications of `serve/`, echo and rooms, by `we serve` and, where they are installed, in other runtimes, puts load on them
//! and prints one table.
//!
//!     serve [FILTER]             only the cases with a line whose name contains FILTER
//!
//! WE is the shell (../target/release/we), BENCH_BUN and BENCH_DENO the other runtimes (else those on the PATH), BENCH_TIME for
//! how many seconds to measure in all (60); to start servers and to open connections takes as long again. The load is `we-net`, on
//! the one thread of this process.

use std::env;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime as Tokio;
use tokio::task::JoinSet;
use tokio::time::timeout;
use we_bench::measure::median;
use we_bench::processes::{self, Server};
use we_bench::runtimes::{self, Named, Runtime};
use we_net::{Client, Message, WebSocket};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Medians of so many interleaved rounds.
const ROUNDS: usize = 5;

/// How long a server may take for a turn beside the time that is measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a server is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_millis(300);

/// How many connections are held.
const HELD: usize = 256;

/// How many connections are opened at a time.
const AT_A_TIME: usize = 16;

/// The messages of a turn, at most.
const MOST_MESSAGES: usize = 4 << 20;

/// The connections that are opened in a turn, at most: each takes a port for a while.
const MOST_OPENED: usize = 16 << 10;

/// How many clients a room has, and how many messages are under way in it.
const IN_A_ROOM: usize = 100;
const UNDER_WAY: usize = 16;

const LENGTH: usize = 125;

const SHELL: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--no-compression"];

const PEERS: [Named; 2] = [("bun", &[]), ("deno", &["run", "-A"])];

/// What is measured. Each turn has a server of its own.
#[derive(Clone, Copy)]
enum Case {
    /// One message under way on each of so many connections.
    Echo(usize),
    Open,
    Memory,
    /// A room with so many clients, each of which hears what one of them says.
    Room(usize),
}

/// The cases and their lines in the table.
const CASES: [(Case, &[Line]); 5] = [
    (
        Case::Echo(HELD),
        &[
            more("echo, 256 connections, messages/s"),
            less("echo, 256 connections, p50 µs"),
            less("echo, 256 connections, p99 µs"),
        ],
    ),
    (
        Case::Echo(1),
        &[
            more("echo, 1 connection, messages/s"),
            less("echo, 1 connection, p50 µs"),
            less("echo, 1 connection, p99 µs"),
        ],
    ),
    (Case::Open, &[more("open, echo, close, 16 at a time, 1/s")]),
    (
        Case::Room(IN_A_ROOM),
        &[
            more("room of 100, messages delivered/s"),
            less("room of 100, p50 µs until the last"),
            less("room of 100, p99 µs until the last"),
        ],
    ),
    (
        Case::Memory,
        &[
            less("one of 256 idle connections, Pss KiB"),
            less("beside it the kernel's tables, KiB"),
            less("all of it by MemAvailable, KiB"),
        ],
    ),
];

struct Line {
    name: &'static str,
    is_more_better: bool,
}

const fn more(name: &'static str) -> Line {
    Line {
        name,
        is_more_better: true,
    }
}

const fn less(name: &'static str) -> Line {
    Line {
        name,
        is_more_better: false,
    }
}

fn main() -> Result<(), Error> {
    let filter = env::args().nth(1).unwrap_or_default();
    let total: f64 = env::var("BENCH_TIME").map_or(Ok(60.0), |text| text.parse())?;
    let runtimes = runtimes::find(SHELL, &PEERS);
    let cases: Vec<_> = CASES
        .into_iter()
        .filter(|(_, lines)| lines.iter().any(|line| line.name.contains(&filter)))
        .collect();
    let timed = cases
        .iter()
        .filter(|(case, _)| !matches!(case, Case::Memory));
    let timed = timed.count().max(1);
    let time = Duration::try_from_secs_f64(total / (timed * runtimes.len() * ROUNDS) as f64)?;
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;

    print_head(&runtimes);
    for (case, lines) in cases {
        // For each runtime, the turns; for each of these the values of the lines.
        let mut turns = vec![Vec::new(); runtimes.len()];
        for round in 0..ROUNDS {
            for turn in 0..runtimes.len() {
                let at = (turn + round) % runtimes.len();
                let values = measure(&tokio, &runtimes[at], case, time)
                    .map_err(|error| format!("{}: {error}", runtimes[at].name))?;
                turns[at].push(values);
            }
        }
        for (at, line) in lines.iter().enumerate() {
            let medians = turns.iter().map(|turns| {
                let values = turns.iter().map(|values| values[at]);
                values.collect::<Option<Vec<_>>>().and_then(median)
            });
            print_line(line, &medians.collect::<Vec<_>>());
        }
    }
    Ok(())
}

/// One turn: the values of the case's lines.
fn measure(
    tokio: &Tokio,
    runtime: &Runtime,
    case: Case,
    time: Duration,
) -> Result<Vec<Option<f64>>, Error> {
    let mut command = Command::new(&runtime.program);
    command.args(runtime.args);
    if let ("we", Case::Memory) = (runtime.name, case) {
        // Instances that wait for a connection would be counted before, and not be made for it.
        command.args(["--spare", "0"]);
    }
    let application = match case {
        Case::Room(_) => "room",
        _ => "echo",
    };
    command.arg(runtimes::in_benches(&match runtime.name {
        "bun" => format!("serve/{application}.bun.js"),
        "deno" => format!("serve/{application}.deno.js"),
        _ => format!("serve/{application}.mjs"),
    }));
    let server = Server::start(&mut command)?;
    let turn = async {
        match case {
            Case::Echo(connections) => echo(&server, connections, time).await,
            Case::Open => open_and_close(&server, time).await,
            Case::Memory => memory(&server).await,
            Case::Room(clients) => room(&server, clients, time).await,
        }
    };
    let limit = time * 2 + PATIENCE;
    tokio.block_on(async { timeout(limit, turn).await })?
}

/// Messages for a second, and the median and the 99th percentile of their round trips.
async fn echo(
    server: &Server,
    connections: usize,
    time: Duration,
) -> Result<Vec<Option<f64>>, Error> {
    let sockets = hold(server, connections).await?;
    let (sockets, _, _) = exchange(sockets, time / 4).await?;
    let (_sockets, mut trips, took) = exchange(sockets, time).await?;
    trips.sort_unstable();
    let percentile = |percent| {
        let trip: Option<&Duration> = trips.get((trips.len().saturating_sub(1)) * percent / 100);
        trip.map(|trip| trip.as_secs_f64() * 1e6)
    };
    let rate = trips.len() as f64 / took.as_secs_f64();
    Ok(vec![Some(rate), percentile(50), percentile(99)])
}

/// Has a message under way on each connection for that time; how long each was, and how long all took.
async fn exchange(
    sockets: Vec<WebSocket>,
    time: Duration,
) -> Result<(Vec<WebSocket>, Vec<Duration>, Duration), Error> {
    let most = MOST_MESSAGES / sockets.len().max(1);
    let message = message();
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for mut socket in sockets {
        let message = message.clone();
        tasks.spawn(async move {
            let mut trips = Vec::new();
            let mut sent = Instant::now();
            while trips.len() < most {
                round_trip(&mut socket, &message).await?;
                let now = Instant::now();
                trips.push(now - sent);
                sent = now;
                if now - start >= time {
                    break;
                }
            }
            Ok::<_, Error>((socket, trips))
        });
    }
    let (mut sockets, mut all) = (Vec::new(), Vec::new());
    while let Some(task) = tasks.join_next().await {
        let (socket, trips) = task??;
        sockets.push(socket);
        all.extend(trips);
    }
    Ok((sockets, all, start.elapsed()))
}

/// Messages that were delivered for a second, and how long it took until the last of the clients had one; the latter with one message
/// under way.
async fn room(server: &Server, clients: usize, time: Duration) -> Result<Vec<Option<f64>>, Error> {
    let client = Client::default();
    let mut sockets = Vec::with_capacity(clients);
    let url = format!("{}ws", server.url());
    for _ in 0..clients {
        sockets.push(client.connect(&*url).await?);
        // All that have come are told; so all that is said from now on is for all.
        let newest = sockets.len() - 1;
        sockets[newest].send(message()).await?;
        for socket in &mut sockets {
            hear(socket).await?;
        }
    }
    let mut trips = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time / 2 && trips.len() < MOST_MESSAGES / clients {
        let sent = Instant::now();
        sockets[0].send(message()).await?;
        for socket in &mut sockets {
            hear(socket).await?;
        }
        trips.push(sent.elapsed());
    }
    trips.sort_unstable();
    let percentile = |percent| {
        let trip: Option<&Duration> = trips.get((trips.len().saturating_sub(1)) * percent / 100);
        trip.map(|trip| trip.as_secs_f64() * 1e6)
    };

    let mut tasks = JoinSet::new();
    let start = Instant::now();
    let mut sockets = sockets.into_iter();
    let mut speaker = sockets.next().ok_or("there is nobody in the room")?;
    for mut socket in sockets {
        tasks.spawn(async move {
            let mut heard = 0_u64;
            while hear(&mut socket).await? {
                heard += 1;
            }
            Ok::<_, Error>(heard)
        });
    }
    for _ in 0..UNDER_WAY {
        speaker.send(message()).await?;
    }
    let mut heard = 0_u64;
    while start.elapsed() < time / 2 && heard < (MOST_MESSAGES / clients) as u64 {
        hear(&mut speaker).await?;
        heard += 1;
        speaker.send(message()).await?;
    }
    speaker.send(END).await?;
    while hear(&mut speaker).await? {
        heard += 1;
    }
    while let Some(task) = tasks.join_next().await {
        heard += task??;
    }
    let rate = heard as f64 / start.elapsed().as_secs_f64();
    Ok(vec![Some(rate), percentile(50), percentile(99)])
}

/// What the last message in a room says.
const END: &str = "end";

/// Waits for a message. Returns whether it is not the last.
async fn hear(socket: &mut WebSocket) -> Result<bool, Error> {
    match socket.next().await? {
        Some(message) => Ok(message.as_text() != Some(END)),
        None => Err(format!("the server has closed: {:?}", socket.closure()).into()),
    }
}

/// Connections for a second that were opened, used once and closed.
async fn open_and_close(server: &Server, time: Duration) -> Result<Vec<Option<f64>>, Error> {
    open_and_close_for(server, time / 4).await?;
    let rate = open_and_close_for(server, time).await?;
    Ok(vec![Some(rate)])
}

async fn open_and_close_for(server: &Server, time: Duration) -> Result<f64, Error> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..AT_A_TIME {
        let url = server.url().to_owned();
        tasks.spawn(async move {
            // Each has a client of its own: one client opens one connection to a server at a time.
            let client = Client::default();
            let mut opened = 0;
            while opened < MOST_OPENED / AT_A_TIME {
                let mut socket = open(&client, &url).await?;
                let closure = socket.close(None).await;
                if !closure.clean {
                    return Err(
                        format!("a connection was not closed as it should: {closure:?}").into(),
                    );
                }
                opened += 1;
                if start.elapsed() >= time {
                    break;
                }
            }
            Ok::<_, Error>(opened)
        });
    }
    let mut opened = 0;
    while let Some(task) = tasks.join_next().await {
        opened += task??;
    }
    Ok(opened as f64 / start.elapsed().as_secs_f64())
}

/// KiB that an idle connection takes: of the server's processes, of the kernel, and of what the whole system has to give.
async fn memory(server: &Server) -> Result<Vec<Option<f64>>, Error> {
    // What the first connection takes is not to be counted for each.
    for mut socket in hold(server, 1).await? {
        socket.close(None).await;
    }
    let before = settled(server);
    let _sockets = hold(server, HELD).await?;
    let after = settled(server);
    let share = |more: Option<f64>, less: Option<f64>| Some((more? - less?) / HELD as f64);
    Ok(vec![
        share(after.taken, before.taken),
        share(after.kernel, before.kernel),
        share(before.available, after.available),
    ])
}

struct Memory {
    taken: Option<f64>,
    kernel: Option<f64>,
    available: Option<f64>,
}

fn settled(server: &Server) -> Memory {
    thread::sleep(SETTLE);
    Memory {
        taken: server.memory(),
        kernel: processes::kernel(),
        available: processes::available(),
    }
}

/// Opens so many connections, one after the other.
async fn hold(server: &Server, connections: usize) -> Result<Vec<WebSocket>, Error> {
    let client = Client::default();
    let mut sockets = Vec::with_capacity(connections);
    for _ in 0..connections {
        sockets.push(open(&client, server.url()).await?);
    }
    Ok(sockets)
}

/// Opens a connection, and sees that it is served.
async fn open(client: &Client, url: &str) -> Result<WebSocket, Error> {
    let mut socket = client.connect(url).await?;
    round_trip(&mut socket, &message()).await?;
    Ok(socket)
}

async fn round_trip(socket: &mut WebSocket, message: &Message) -> Result<(), Error> {
    socket.send(message.clone()).await?;
    match socket.next().await? {
        Some(answer) if answer == *message => Ok(()),
        Some(_) => Err("the answer is another message".into()),
        None => Err(format!("the server has closed: {:?}", socket.closure()).into()),
    }
}

fn message() -> Message {
    Message::text("x".repeat(LENGTH))
}

fn print_head(runtimes: &[Runtime]) {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "Messages of {LENGTH} B; medians of {ROUNDS} interleaved rounds. There are {processors} processors, for the load \
         and what is measured.\n\
         `we serve` gives each connection, or room, a JavaScript context and a process of its own. Bun and Deno run all connections\n\
         in ONE context and process, where what one handler does is done to all.\n\
         ratio: to the best peer; 1.00 and more is ahead.\n"
    );
    print!("| {:<37} |", "case");
    for runtime in runtimes {
        print!(" {:>9} |", runtime.name);
    }
    println!(" {:>5} |", "ratio");
    let columns = "----------:|".repeat(runtimes.len());
    println!("|:{:-<37}-|{columns}------:|", "");
}

fn print_line(line: &Line, values: &[Option<f64>]) {
    print!("| {:<37} |", line.name);
    for value in values {
        print!(" {:>9} |", value.map_or_else(|| "-".to_owned(), short));
    }
    println!(" {:>5} |", ratio(line, values));
}

fn ratio(line: &Line, values: &[Option<f64>]) -> String {
    let better = if line.is_more_better {
        f64::max
    } else {
        f64::min
    };
    let ours = values.first().copied().flatten();
    let best = values.iter().skip(1).copied().flatten().reduce(better);
    match (ours, best) {
        (Some(ours), Some(best)) if ours > 0.0 && best > 0.0 => {
            let ratio = if line.is_more_better {
                ours / best
            } else {
                best / ours
            };
            format!("{ratio:.2}")
        }
        _ => String::new(),
    }
}

fn short(value: f64) -> String {
    match value {
        -100.0..100.0 => format!("{value:.1}"),
        10_000.0.. => format!("{:.1} k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}
