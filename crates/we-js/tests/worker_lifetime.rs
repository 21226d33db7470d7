//! What workers leave behind: nothing. Counted from outside, in the process that ran them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{echo_server, run_and_report};

/// Descriptors, threads, and KiB of memory that are in use.
fn usage() -> (usize, usize, usize) {
    let entries = |folder| std::fs::read_dir(folder).unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let memory = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    (
        entries("/proc/self/fd"),
        entries("/proc/self/task"),
        memory.trim().trim_end_matches(" kB").parse().unwrap(),
    )
}

/// One test, so that nothing else in this process opens descriptors meanwhile.
#[test]
fn a_thousand_workers_leave_no_threads_no_descriptors_and_no_memory() {
    let url = echo_server();
    // Each worker opens a socket, hears its echo and ends in one of four ways.
    let many = "
        const body = `
            const ws = new WebSocket(${JSON.stringify(url)});
            ws.onopen = () => ws.send('x');
            ws.onmessage = () => postMessage('up');
            onmessage = ({ data: way }) => {
                if (way === 'close') close();
                else if (way === 'throw') { ws.close(); onmessage = null; throw new Error(way); }
                else for (;;);
            };`;
        const script = URL.createObjectURL(new Blob([body]));
        const ways = ['terminate', 'close', 'throw', 'loop'];
        let started = 0, heard = 0, errors = 0;
        const start = () => {
            const worker = new Worker(script), way = ways[started++ % 4];
            worker.onerror = e => { e.preventDefault(); errors++ };
            worker.onmessage = () => {
                heard++;
                if (way !== 'terminate') worker.postMessage(way);
                if (way === 'terminate' || way === 'loop') worker.terminate();
                if (started < total) start();
            };
        };
        for (let i = 0; i < 20; i++) start();
    ";
    let report = "`${started} started, ${heard} heard, ${errors} errors`";
    let run = |total| run_and_report(&url, total, many, report);
    // The first run makes what is made once, and lets the allocator find its size.
    run(200);
    let before = usage();
    assert_eq!(run(1000), "1000 started, 1000 heard, 250 errors");
    let start = Instant::now();
    loop {
        let after = usage();
        // A leak of one worker in ten would be more than this: each has some 400 KiB.
        let memory = after.2 < before.2 + 32 * 1024;
        if after.0 <= before.0 && after.1 <= before.1 && memory {
            return;
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "descriptors, threads, KiB: {before:?} became {after:?}"
        );
        thread::yield_now();
    }
}
