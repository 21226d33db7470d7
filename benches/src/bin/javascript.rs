//! Runs `javascript/cases.js` in the shell and, where they are installed, in other runtimes, and prints one table.
//!
//!     javascript [FILTER]        only the cases whose names contain FILTER
//!
//! WE is the shell (../target/release/we), BENCH_BUN, BENCH_DENO and BENCH_NODE the other runtimes (else those on the
//! PATH), BENCH_TIME for how many seconds to measure in all (60). The server that they all talk to is `we-net`, on a
//! thread of this process.

use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use we_bench::measure::median;
use we_bench::runtimes::{self, Named, Runtime};
use we_net::WebSocket;
use we_net::server::{Server, echo};

/// Medians of so many interleaved rounds.
const ROUNDS: usize = 5;

/// A case that takes longer than this has hung.
const LIMIT: Duration = Duration::from_secs(60);

const PEERS: [Named; 3] = [("bun", &[]), ("deno", &["run", "-A"]), ("node", &[])];

/// What a case does, and how many times a second a runtime does it, roughly: from this follows how often it is asked to.
struct Case {
    name: &'static str,
    per_second: f64,
    most: usize,
}

const CASES: [Case; 11] = [
    case("dispatch an event", 1e6, usize::MAX),
    case("make and dispatch an event", 5e5, usize::MAX),
    case("message through a port", 2e5, usize::MAX),
    case("message to a worker and back", 2e4, usize::MAX),
    case("round trip 100 B", 1e4, usize::MAX),
    case("echo, 64 ahead, text 100 B", 1e5, usize::MAX),
    case("echo, 64 ahead, binary 100 B", 1e5, usize::MAX),
    case("echo 1 MiB", 500.0, usize::MAX),
    case("receive 100 B", 8e5, usize::MAX),
    case("send 100 B", 4e5, usize::MAX),
    // No more than there are descriptors for.
    case("open, echo, close", 5e3, 1000),
];

const fn case(name: &'static str, per_second: f64, most: usize) -> Case {
    Case {
        name,
        per_second,
        most,
    }
}

/// What a case took.
#[derive(Clone, Copy)]
struct Sample {
    /// By the script's clock, for one time, in microseconds.
    wall: f64,
    /// What the whole process computed, its start too, likewise. In steps of the system's clock ticks.
    cpu: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let filter = env::args().nth(1).unwrap_or_default();
    let total: f64 = env::var("BENCH_TIME").map_or(Ok(60.0), |text| text.parse())?;
    let runtimes = runtimes::find(&["run"], &PEERS);
    let base = serve()?;
    let script = runtimes::in_benches("javascript/cases.js");
    let cases: Vec<&Case> = CASES
        .iter()
        .filter(|case| case.name.contains(&filter))
        .collect();
    let seconds = total / (cases.len().max(1) * runtimes.len() * ROUNDS) as f64;

    println!(
        "microseconds for one time, and of these computed; medians of {ROUNDS} interleaved rounds.\n\
         ratio: the fastest peer's time to ours.\n"
    );
    print!("| {:<28} |", "case");
    for runtime in &runtimes {
        print!(" {:>17} |", runtime.name);
    }
    println!(" {:>5} | {:>5} |", "ratio", "CPU");
    let columns = "------------------:|".repeat(runtimes.len());
    println!("|:{:-<28}-|{columns}------:|------:|", "");
    let mut is_complete = true;
    for case in cases {
        let count = ((case.per_second * seconds) as usize).clamp(10, case.most);
        let mut samples: HashMap<&str, Vec<Sample>> = HashMap::new();
        for round in 0..ROUNDS {
            for turn in 0..runtimes.len() {
                let runtime = &runtimes[(turn + round) % runtimes.len()];
                if let Some(sample) = run(runtime, &script, case.name, count, &base)? {
                    samples.entry(runtime.name).or_default().push(sample);
                }
            }
        }
        is_complete &= samples.contains_key(runtimes[0].name);
        print_case(case, &runtimes, &samples);
    }
    if is_complete {
        Ok(())
    } else {
        Err("the shell has not done every case".into())
    }
}

/// One sample; `None` if this runtime cannot do it.
fn run(
    runtime: &Runtime,
    script: &Path,
    case: &str,
    count: usize,
    base: &str,
) -> Result<Option<Sample>, Box<dyn Error>> {
    let before = children_time()?;
    let mut child = Command::new(&runtime.program)
        .args(runtime.args)
        .arg(script)
        .args((runtime.name == "we").then_some("--"))
        .args([case, &count.to_string(), base])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", runtime.program.display()))?;
    let mut stdout = child.stdout.take().ok_or("no output")?;
    let reader = thread::spawn(move || {
        let mut output = String::new();
        stdout.read_to_string(&mut output).map(|_| output)
    });
    let deadline = Instant::now() + LIMIT;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let computed = children_time()?.saturating_sub(before);
    let output = reader.join().map_err(|_| "the reader has failed")??;
    let result = output.lines().find_map(|line| line.strip_prefix("RESULT "));
    let Some(wall) = result.and_then(|text| text.trim().parse::<f64>().ok()) else {
        return Ok(None);
    };
    Ok(Some(Sample {
        wall: wall * 1e3 / count as f64,
        cpu: computed.as_secs_f64() * 1e6 / count as f64,
    }))
}

/// What the children of this process that have ended have computed.
fn children_time() -> Result<Duration, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat")?;
    // cutime and cstime: the fields 16 and 17 of proc(5), of which two stand before the parenthesis.
    let ticks: u64 = fields
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn print_case(case: &Case, runtimes: &[Runtime], samples: &HashMap<&str, Vec<Sample>>) {
    let medians = |value: fn(&Sample) -> f64| -> Vec<Option<f64>> {
        let medians = runtimes
            .iter()
            .map(|runtime| median(samples.get(runtime.name)?.iter().map(value)));
        medians.collect()
    };
    let (wall, cpu) = (medians(|sample| sample.wall), medians(|sample| sample.cpu));
    print!("| {:<28} |", case.name);
    for times in wall.iter().zip(&cpu) {
        match times {
            (Some(wall), Some(cpu)) => print!(" {:>8} {:>8} |", short(*wall), short(*cpu)),
            _ => print!(" {:>17} |", "-"),
        }
    }
    println!(" {:>5} | {:>5} |", ratio(&wall), ratio(&cpu));
}

/// That of the fastest peer to ours.
fn ratio(times: &[Option<f64>]) -> String {
    let ours = times.first().copied().flatten();
    let best = times.iter().skip(1).copied().flatten().reduce(f64::min);
    match (ours, best) {
        (Some(ours), Some(best)) => format!("{:.2}", best / ours),
        _ => String::new(),
    }
}

fn short(micros: f64) -> String {
    match micros {
        0.0..10.0 => format!("{micros:.2}"),
        10.0..1000.0 => format!("{micros:.0}"),
        _ => format!("{:.1}k", micros / 1e3),
    }
}

/// Starts the server; returns the URL without a path.
fn serve() -> Result<String, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let server = runtime.block_on(Server::builder().bind("127.0.0.1:0"))?;
    let url = server.url().trim_end_matches('/').to_owned();
    thread::spawn(move || runtime.block_on(server.serve(answer)));
    Ok(url)
}

/// `/echo`; `/flood/N` sends N messages; `/sink/N` answers when N have come.
async fn answer(mut socket: WebSocket) {
    let resource = socket.negotiated().resource.clone();
    let count = |prefix| {
        let rest = resource.strip_prefix(prefix)?;
        rest.parse::<usize>().ok()
    };
    if let Some(count) = count("/flood/") {
        let text = "x".repeat(100);
        for sent in 1..=count {
            if socket.feed(text.as_str()).await.is_err() {
                return;
            }
            if sent % 256 == 0 {
                socket.flush().await;
            }
        }
        socket.flush().await;
        // Until the client closes.
        while let Ok(Some(_)) = socket.next().await {}
    } else if let Some(count) = count("/sink/") {
        for _ in 0..count {
            let Ok(Some(_)) = socket.next().await else {
                return;
            };
        }
        let _ = socket.send("done").await;
        while let Ok(Some(_)) = socket.next().await {}
    } else {
        echo(socket).await;
    }
}
