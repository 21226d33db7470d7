//! What a socket leaves behind: nothing. Counted from outside, in the process that ran the script.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use boa_engine::{JsString, Source, js_string, property::Attribute};
use we_js::{EventLoop, Options};
use we_net::server::{Server, echo};

/// An echo server on a thread of its own; it ends with the process.
fn echo_server() -> String {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = Server::builder().bind("127.0.0.1:0").await.unwrap();
            send.send(server.url()).unwrap();
            server.serve(echo).await;
        });
    });
    receive.recv().unwrap()
}

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
    let run = |total: i32| {
        let event_loop = EventLoop::new(Options::default()).unwrap();
        let mut context = event_loop.context_builder().build().unwrap();
        event_loop.install(&mut context).unwrap();
        let url = JsString::from(url.as_str());
        context
            .register_global_property(js_string!("url"), url, Attribute::all())
            .unwrap();
        let script = format!("const total = {total}; {many}");
        context.eval(Source::from_bytes(&script)).unwrap();
        event_loop.run(&mut context).unwrap();
        // Two collections: the first may find objects that the last job has looked at.
        for _ in 0..2 {
            context.clear_kept_objects();
            boa_gc::force_collect();
        }
        let report = "`${closed} closed, ${refs.filter(ref => ref.deref()).length} alive`";
        let report = context.eval(Source::from_bytes(report)).unwrap();
        report
            .to_string(&mut context)
            .unwrap()
            .to_std_string_lossy()
    };
    // The first run makes what is made once.
    run(50);
    let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));
    assert_eq!(run(3000), "3000 closed, 0 alive");
    settles_at(descriptors, threads);
}
