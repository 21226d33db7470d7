//! Every case and library under criterion, one after the other: for a closer look at few of them, over time.
//!
//!     cargo bench -- 'decode client binary 125 B/(we|tokio-ws)$'
//!
//! For comparing libraries with each other `make bench` is better: there they take turns.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use we_bench::case::Case;
use we_bench::library::LIBRARIES;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for case in Case::all().chain(Case::all_compressed()) {
        let mut group = criterion.benchmark_group(case.to_string());
        group.throughput(Throughput::Bytes(case.size() as u64));
        for library in &LIBRARIES {
            if let Some(mut job) = (library.job)(&case) {
                group.bench_function(library.name, |bencher| bencher.iter_custom(&mut job));
            }
        }
        group.finish();
    }
    criterion.final_summary();
}
