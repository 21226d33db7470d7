//! What a socket leaves behind: nothing. Counted from outside, in the process that ran the script.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{echo_server, run_and_report};

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Waits until the process has no more than these descriptors and threads, which the server's side takes a moment for.
#[track_caller]
fn settles_at(descriptors: usize, threads: usize) {
    let start = Instant::now();
    loop {
        let now = (entries("/proc/self/fd"), entries("/proc/self/task"));
        if now.0 <= descriptors && now.1 <= threads {
            return;
        }
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{now:?}, not {descriptors} and {threads}"
        );
        thread::yield_now();
    }
}

/// One test, so that nothing else in this process opens descriptors meanwhile.
#[test]
fn sockets_leave_no_descriptors_no_threads_and_no_objects() {
    let url = echo_server();
    let many = "
        const refs = [];
        let closed = 0;
        const open = () => {
            const ws = new WebSocket(url);
            refs.push(new WeakRef(ws));
            // Three ways to end: after a message, at once, and while connecting.
            const way = refs.length % 3;
            ws.onopen = () => (way === 0 ? ws.send('x') : ws.close());
            ws.onmessage = () => ws.close(1000);
            ws.onclose = () => {
                closed++;
                if (refs.length < total) open();
            };
            if (way === 1) ws.close();
        };
        for (let i = 0; i < 40; i++) open();
    ";
    let report = "`${closed} closed, ${refs.filter(ref => ref.deref()).length} alive`";
    let run = |total| run_and_report(&url, total, many, report);
    // The first run makes what is made once.
    run(50);
    let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));
    assert_eq!(run(10_000), "10000 closed, 0 alive");
    settles_at(descriptors, threads);
}
