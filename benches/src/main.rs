//! Prints one table: every case, every library, in nanoseconds for a message, and how ours stands.
//!
//!     we-bench [FILTER]        only the cases whose names contain FILTER
//!
//! BENCH_TIME is for how many seconds to measure in all (60).

use std::time::Duration;

use we_bench::case::Case;
use we_bench::library::{Job, LIBRARIES};
use we_bench::measure::{Effort, compare};
use we_bench::{floor, parts};

/// From here on a payload is compared with the floor.
const LARGE: usize = 64 << 10;

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let seconds = std::env::var("BENCH_TIME").map_or(Ok(60.0), |text| text.parse());
    let total = Duration::from_secs_f64(seconds.unwrap_or(60.0));
    let cases: Vec<Case> = Case::all()
        .chain(Case::all_compressed())
        .filter(|case| case.to_string().contains(&filter))
        .collect();
    let parts: Vec<_> = parts::all()
        .filter(|part| part.name.contains(&filter))
        .collect();
    let jobs = cases.len() * (LIBRARIES.len() + 1)
        + parts.iter().map(|part| part.jobs.len()).sum::<usize>();
    let effort = Effort::within(total, jobs);

    println!(
        "ns for a message; medians of {} interleaved rounds. The fastest peer has a star.\n\
         ratio: the fastest peer's time to ours. floor: our time to that of memcpy (and simdutf8, for text that comes).\n",
        effort.rounds
    );
    let columns: Vec<&str> = LIBRARIES.iter().map(|library| library.name).collect();
    print!("| {:<27} |", "case");
    columns.iter().for_each(|column| print!(" {column:>11} |"));
    println!(
        " {:>6} | {:>5} | {:>6} | {:>5} |",
        "GB/s", "ratio", "+tokio", "floor"
    );
    println!(
        "|:{:-<27}-|{}",
        "",
        "-----------:|"
            .repeat(columns.len())
            .replace("-----------", "------------")
            + "-------:|------:|-------:|------:|"
    );
    let mut ratios = Vec::new();
    for case in &cases {
        ratios.extend(print_case(case, effort));
    }
    print_summary(&ratios);

    for part in parts {
        part.print(effort);
    }
}

/// Prints a line; returns the ratio.
fn print_case(case: &Case, effort: Effort) -> Option<f64> {
    let mut jobs: Vec<Option<Job>> = LIBRARIES
        .iter()
        .map(|library| (library.job)(case))
        .collect();
    if case.size() >= LARGE && !case.compressed {
        jobs.push(floor::job(case));
    }
    let times = compare(&mut jobs, effort);
    let best = LIBRARIES
        .iter()
        .zip(&times)
        .filter(|(library, _)| !library.is_ours)
        .filter_map(|(_, time)| *time)
        .reduce(f64::min);

    print!("| {:<27} |", case.to_string());
    for time in &times[..LIBRARIES.len()] {
        let star = if *time == best { "*" } else { "" };
        print!(
            " {:>11} |",
            time.map_or("-".into(), |time| format!("{star}{}", short(time)))
        );
    }
    let ours = times[0];
    let ratio = |ours: Option<f64>| Some(best? / ours?);
    let floor = times.get(LIBRARIES.len()).and_then(|floor| *floor);
    let floor = floor.and_then(|floor| Some(ours? / floor));
    println!(
        " {:>6} | {:>5} | {:>6} | {:>5} |",
        shown(ours.map(|ours| case.size() as f64 / ours)),
        shown(ratio(ours)),
        shown(ratio(times[1])),
        shown(floor),
    );
    ratio(ours)
}

fn print_summary(ratios: &[f64]) {
    if ratios.is_empty() {
        return;
    }
    let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    let behind = ratios.iter().filter(|ratio| **ratio < 1.0).count();
    println!(
        "\nratio, geometric mean: {mean:.2}; below 1.00: {behind} of {}",
        ratios.len()
    );
}

fn shown(number: Option<f64>) -> String {
    number.map_or(String::new(), |number| format!("{number:.2}"))
}

/// Three digits or so.
fn short(ns: f64) -> String {
    match ns {
        0.0..100.0 => format!("{ns:.1}"),
        100.0..10_000.0 => format!("{ns:.0}"),
        _ => format!("{:.1}k", ns / 1e3),
    }
}
