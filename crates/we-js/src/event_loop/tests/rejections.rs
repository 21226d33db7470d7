//! `unhandledrejection` and `rejectionhandled`.

use super::Bench;

#[test]
fn an_unhandled_rejection_is_told_after_the_microtasks() {
    let mut bench = Bench::new();
    let log =
        bench.log_of("Promise.reject('lost'); queueMicrotask(() => log('micro')); log('script')");
    assert_eq!(log, ["script", "micro", "unhandled: \"lost\""]);
}

#[test]
fn a_rejection_handled_in_time_is_not_told() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "const p = Promise.reject('caught'); p.catch(() => log('caught'));
         const q = Promise.reject('caught later'); queueMicrotask(() => q.catch(() => log('caught later')));",
    );
    assert_eq!(log, ["caught", "caught later"]);
}

#[test]
fn a_rejection_handled_before_its_task_runs_is_not_told() {
    // The listener for the first handles the second, whose event would have been next.
    let mut bench = Bench::new();
    bench.eval(
        "const p = Promise.reject(1), q = Promise.reject(2); function onUnhandled() { q.catch(() => log('caught')) }",
    );
    bench.listen_for_rejections();
    assert_eq!(bench.log_of(""), ["unhandled: 1", "caught"]);
}

#[test]
fn a_rejection_handled_later_is_told() {
    let mut bench = Bench::new();
    let log = bench
        .log_of("const p = Promise.reject(1); setTimeout(() => p.catch(() => log('caught')), 1)");
    assert_eq!(log, ["unhandled: 1", "caught", "handled: 1"]);
}

#[test]
fn a_rejection_handled_by_its_own_listener_is_not_told_as_handled() {
    let mut bench = Bench::new();
    bench.eval(
        "Promise.reject(1); function onUnhandled(promise) { promise.catch(() => log('caught')) }",
    );
    bench.listen_for_rejections();
    assert_eq!(bench.log_of(""), ["unhandled: 1", "caught"]);
}

#[test]
fn a_listener_that_rejects_does_not_hang_the_loop() {
    let mut bench = Bench::new();
    bench.eval("let count = 0; Promise.reject(0); function onUnhandled() { if (++count < 3) Promise.reject(count) }");
    bench.listen_for_rejections();
    assert_eq!(
        bench.log_of(""),
        ["unhandled: 0", "unhandled: 1", "unhandled: 2"]
    );
}
