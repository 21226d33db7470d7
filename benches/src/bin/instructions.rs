//! Counts the instructions of the hot paths under callgrind, and holds them against `instructions.txt`.
//!
//!     instructions             fails if a path takes over 5 % more than the baseline
//!     instructions --save      writes the baseline anew
//!     instructions --run PATH  runs one path, as callgrind is told to
//!
//! Callgrind shows every program the same processor (AVX2, no AVX-512), so the numbers are those of the compiler and
//! the sources. With another compiler, or an older processor, nothing can be compared, and that is all that is said.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, ExitCode};

use we_bench::hot_paths::{HOT_PATHS, ITERATIONS};

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// How much more is too much.
const TOLERANCE: f64 = 0.05;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => check(),
        ["--save"] => save(),
        ["--run", name] => {
            run(name);
            Ok(())
        }
        _ => Err("usage: instructions [--save | --run PATH]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// What the counts depend on beside the sources.
fn conditions() -> String {
    #[cfg(target_arch = "x86_64")]
    let vectors = if std::arch::is_x86_feature_detected!("avx2") {
        "avx2"
    } else {
        "sse2"
    };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = std::env::consts::ARCH;
    format!("{}, {}, {vectors}", env!("BENCH_RUSTC"), c_library())
}

/// glibc allocates and copies.
fn c_library() -> String {
    let output = Command::new("ldd").arg("--version").output();
    let text = output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    text.lines().next().unwrap_or("no glibc").to_owned()
}

fn check() -> Result<(), String> {
    let baseline = std::fs::read_to_string(BASELINE).unwrap_or_default();
    let counts = count_all()?;
    let known = parse(&baseline);
    let comparable = baseline
        .lines()
        .any(|line| line.strip_prefix("# with ") == Some(&conditions()));
    let mut grown = Vec::new();
    for (name, count) in &counts {
        let change = known.get(name.as_str()).map(|known| count / known - 1.0);
        let shown = change
            .filter(|_| comparable)
            .map_or(String::new(), |change| format!("{:+.1} %", change * 100.0));
        println!("{name:<36} {count:>9.1} {shown:>9}");
        if change.is_none_or(|change| change > TOLERANCE) {
            grown.push(name.as_str());
        }
    }
    if !comparable {
        println!("\nNo comparable baseline: this is with {}.", conditions());
        return Ok(());
    }
    if grown.is_empty() {
        return Ok(());
    }
    Err(format!(
        "More than {} % above benches/instructions.txt, or not in it: {}. If that is meant: make bench-instructions SAVE=1",
        TOLERANCE * 100.0,
        grown.join(", ")
    ))
}

fn save() -> Result<(), String> {
    let mut text = format!(
        "# Instructions for one turn of each hot path, counted by callgrind. `make bench-instructions SAVE=1` writes this.\n\
         # with {}\n",
        conditions()
    );
    for (name, count) in count_all()? {
        let _ = writeln!(text, "{name:<36} {count:>9.1}");
    }
    print!("{text}");
    std::fs::write(BASELINE, text).map_err(|error| format!("{BASELINE}: {error}"))
}

fn parse(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let (name, count) = line.rsplit_once(' ')?;
            Some((name.trim(), count.parse().ok()?))
        })
        .collect()
}

fn run(name: &str) {
    for path in HOT_PATHS.iter().filter(|path| path.name == name) {
        (path.work)(ITERATIONS);
    }
}

/// A path at a time, two at once.
fn count_all() -> Result<Vec<(String, f64)>, String> {
    HOT_PATHS
        .iter()
        .map(|path| Ok((path.name.to_owned(), count(path.name)?)))
        .collect()
}

/// Instructions for one iteration. Only what happens inside of the function `measured` counts.
fn count(name: &str) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let out = std::env::temp_dir().join(format!("we-callgrind-{}", std::process::id()));
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=*measured*",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(["--run", name])
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let result = read_total(&out);
    let _ = std::fs::remove_file(&out);
    result
        .map(|total| total / ITERATIONS as f64)
        .ok_or_else(|| format!("{name}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn read_total(out: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(out).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("summary: "))?;
    line.trim().parse().ok().filter(|total| *total > 0.0)
}
