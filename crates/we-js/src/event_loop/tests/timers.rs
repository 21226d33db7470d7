//! `setTimeout`, `setInterval` and their clear functions.

use std::time::{Duration, Instant};

use super::Bench;

#[test]
fn microtasks_run_between_two_due_timers() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "setTimeout(() => {
             log('a');
             Promise.resolve().then(() => log('a-micro')).then(() => log('a-micro2'));
         }, 0);
         setTimeout(() => { log('b'); queueMicrotask(() => log('b-micro')) }, 0);
         setTimeout(() => log('c'), 0);",
    );
    assert_eq!(log, ["a", "a-micro", "a-micro2", "b", "b-micro", "c"]);
}

#[test]
fn timers_run_by_due_time_then_age() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "setTimeout(() => log('20'), 20); setTimeout(() => log('5, first'), 5);
         setTimeout(() => log('0'), 0);   setTimeout(() => log('5, second'), 5);",
    );
    assert_eq!(log, ["0", "5, first", "5, second", "20"]);
}

#[test]
fn an_error_stops_no_other_timer() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "setTimeout(() => { throw new Error('first') }, 0);
         setTimeout(() => { (function f() { f() })() }, 0);
         setTimeout('syntax error', 0);
         setTimeout(() => { queueMicrotask(() => { throw 'micro' }); queueMicrotask(() => log('next')) });
         setTimeout(() => log('last'), 0);",
    );
    assert_eq!(log[0], "report: Error: first");
    assert!(
        log[1].starts_with("report: RuntimeLimitError"),
        "{}",
        log[1]
    );
    assert!(log[2].starts_with("report: SyntaxError"), "{}", log[2]);
    assert_eq!(log[3..], ["report: \"micro\"", "next", "last"]);
}

#[test]
fn delays_are_converted_as_webidl_long() {
    // Each is due at once, so the order is that of the calls; 2 ** 32 wraps to 0, 2 ** 31 to a negative number.
    let mut bench = Bench::new();
    let start = Instant::now();
    let log = bench.log_of(
        "for (const delay of [-5, NaN, 2 ** 32, 2 ** 31, undefined, null, '', {}, Infinity])
             setTimeout(() => log(delay), delay);
         setTimeout(() => log('without'));",
    );
    assert_eq!(log.len(), 10);
    assert_eq!(log.last().unwrap(), "without");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn arguments_and_this_reach_the_handler() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "setTimeout(function (...args) { log(this === globalThis, args) }, 0, 1, 'two');
         setTimeout(\"var made = 'by a string'; log(made)\", 0);",
    );
    assert_eq!(log, ["true 1,two", "by a string"]);
}

#[test]
fn deeply_nested_timers_wait_four_milliseconds() {
    // Levels 0 to 5 may be due at once; of twelve nested timers at least six wait for 4 ms.
    let mut bench = Bench::new();
    let start = Instant::now();
    let log =
        bench.log_of("(function nest(level) { if (level < 12) setTimeout(nest, 0, level + 1); else log(level) })(0)");
    assert_eq!(log, ["12"]);
    assert!(
        start.elapsed() >= Duration::from_millis(6 * 4),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_timer_set_outside_timers_is_not_nested() {
    let mut bench = Bench::new();
    bench.log_of("(function nest(level) { if (level < 12) setTimeout(nest, 0, level + 1) })(0)");
    // A nested timer would take 4 ms each time; a machine under load may take long, but not each time.
    let is_prompt = (0..50).any(|_| {
        let start = Instant::now();
        bench.log_of("setTimeout(() => {}, 0)");
        start.elapsed() < Duration::from_millis(4)
    });
    assert!(is_prompt);
}

#[test]
fn clearing_works_before_and_during_the_run() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "const never = setTimeout(() => log('never'), 0);
         const later = setTimeout(() => log('later'), 0);
         clearInterval(never);
         clearTimeout(); clearTimeout(12345); clearTimeout(-1);
         const first = setTimeout(() => { log('first'); clearTimeout(first); clearTimeout(second) }, 0);
         const second = setTimeout(() => log('second'), 0);",
    );
    assert_eq!(log, ["later", "first"]);
}

#[test]
fn an_interval_repeats_until_it_clears_itself() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "let count = 0;
         const id = setInterval(() => { log(++count); if (count == 3) clearInterval(id) }, 1);
         log(typeof id, id > 0);",
    );
    assert_eq!(log, ["number true", "1", "2", "3"]);
}

#[test]
fn an_interval_may_clear_itself_and_take_its_place() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "const first = setInterval(() => {
             log('first');
             clearInterval(first);
             const second = setInterval(() => { log('second', first !== second); clearInterval(second) }, 1);
         }, 1);",
    );
    assert_eq!(log, ["first", "second true"]);
}

#[test]
fn an_interval_that_throws_goes_on() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "let count = 0;
         const id = setInterval(() => { if (++count == 3) clearInterval(id); throw count }, 1);",
    );
    assert_eq!(log, ["report: 1", "report: 2", "report: 3"]);
}

#[test]
fn a_timer_that_sets_another_for_at_once_does_not_starve_tasks() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "let rounds = 0, stop = false;
         (function again() { rounds++; if (!stop) setTimeout(again, 0) })();
         setTimeout(() => { stop = true; log('got a turn') }, 10);",
    );
    assert_eq!(log, ["got a turn"]);
}

#[test]
fn bad_calls_throw_type_errors() {
    let mut bench = Bench::new();
    let log = bench.log_of(
        "for (const call of [() => setTimeout(), () => setTimeout.call({}, () => {}), () => queueMicrotask(1),
                             () => setTimeout(Symbol()), () => new setTimeout(() => {})])
             try { call(); log('no error') } catch (error) { log(error.name) }
         log(setTimeout.length, clearTimeout.length, setTimeout.name);
         log(JSON.stringify(Object.getOwnPropertyDescriptor(globalThis, 'setInterval')));",
    );
    assert_eq!(log[..5], ["TypeError"; 5]);
    assert_eq!(log[5], "1 0 setTimeout");
    assert_eq!(
        log[6],
        r#"{"writable":true,"enumerable":true,"configurable":true}"#
    );
}
