//! What scripts see of controllers and signals.
#![allow(clippy::unwrap_used)]

use crate::testing::{Agent, cases};

#[test]
fn a_controller_aborts_its_signal_once() {
    cases(&[
        (
            "const c = new AbortController(); const s = c.signal; const log = [s.aborted, s.reason, c.signal === s];
          s.onabort = e => log.push('handler', e.isTrusted, e.target === s, e.bubbles, e.cancelable);
          s.addEventListener('abort', () => log.push('listener', s.aborted));
          c.abort(); c.abort('again');
          log.push(s.reason.name, s.reason.code, s.reason instanceof DOMException); log.join()",
            "false,,true,handler,true,true,false,false,listener,true,AbortError,20,true",
        ),
        ("const c = new AbortController(); c.abort('why'); c.signal.reason", "why"),
        ("const c = new AbortController(); c.abort(null); [c.signal.reason, c.signal.aborted].join()", ",true"),
        ("error(() => new AbortSignal())", "TypeError"),
        ("error(() => AbortController.prototype.signal)", "TypeError"),
        (
            "[AbortController.length, AbortController.prototype.abort.length, String(new AbortController().signal), AbortSignal.__proto__ === EventTarget].join()",
            "0,0,[object AbortSignal],true",
        ),
    ]);
}

#[test]
fn throw_if_aborted_throws_the_reason_itself() {
    cases(&[
        (
            "const reason = {}; try { AbortSignal.abort(reason).throwIfAborted() } catch (e) { e === reason }",
            "true",
        ),
        ("new AbortController().signal.throwIfAborted()", "undefined"),
    ]);
}

#[test]
fn abort_makes_an_aborted_signal() {
    cases(&[
        (
            "const s = AbortSignal.abort(); [s.aborted, s.reason.name, s instanceof AbortSignal].join()",
            "true,AbortError,true",
        ),
        ("AbortSignal.abort(0).reason", "0"),
    ]);
}

#[test]
fn timeout_aborts_with_a_timeout_error() {
    cases(&[
        ("const s = AbortSignal.timeout(1); const before = s.aborted; const kept = setInterval(() => s.aborted && clearInterval(kept), 1);
          new Promise(done => s.onabort = e => done([before, s.aborted, s.reason.name, s.reason.code, e.isTrusted].join()))",
         "false,true,TimeoutError,23,true"),
        ("[-1, NaN, Infinity, 2 ** 53, 'x', undefined].map(v => error(() => AbortSignal.timeout(v))).join()",
         "TypeError,TypeError,TypeError,TypeError,TypeError,TypeError"),
        ("error(() => AbortSignal.timeout())", "TypeError"),
    ]);
}

/// Else the first would take a minute, and the second would not end.
#[test]
fn a_timeout_does_not_keep_the_program_running_but_runs_as_long_as_it_does() {
    cases(&[
        (
            "const s = AbortSignal.timeout(60_000); s.onabort = () => {}; s.aborted",
            "false",
        ),
        (
            "const s = AbortSignal.timeout(5); let aborted = false;
             const source = 'setInterval(() => {}, 1); onmessage = close';
             const worker = new Worker(`data:text/javascript,${encodeURIComponent(source)}`);
             s.onabort = () => { aborted = true; worker.postMessage(1) };
             ({ toString() { return String(aborted) } })",
            "true",
        ),
    ]);
}

#[test]
fn any_follows_its_sources() {
    cases(&[
        (
            "const [a, b] = [new AbortController(), new AbortController()];
          const any = AbortSignal.any([a.signal, b.signal, a.signal]); const log = [];
          any.onabort = () => log.push('any', any.reason); b.signal.onabort = () => log.push('b', any.aborted);
          b.abort(1); a.abort(2); log.join()",
            "b,true,any,1",
        ),
        (
            "AbortSignal.any([new AbortController().signal, AbortSignal.abort('first'), AbortSignal.abort('second')]).reason",
            "first",
        ),
        ("AbortSignal.any([]).aborted", "false"),
        (
            "[undefined, {}, [1], [new EventTarget()], 'x'].map(v => error(() => AbortSignal.any(v))).join()",
            "TypeError,TypeError,TypeError,TypeError,TypeError",
        ),
    ]);
}

#[test]
fn a_dependent_of_a_dependent_depends_on_the_sources() {
    cases(&[
        // The order of the events is the order in which the signals became dependents of the source.
        ("const c = new AbortController(); const log = [];
          const one = AbortSignal.any([c.signal]); const two = AbortSignal.any([one]); const three = AbortSignal.any([c.signal, two]);
          for (const [name, s] of Object.entries({ three, two, one })) s.onabort = () => log.push(name, one.aborted && two.aborted && three.aborted);
          c.abort(); log.join()", "one,true,two,true,three,true"),
        // Aborting within a listener finds all dependents aborted already.
        ("const c = new AbortController(); const any = AbortSignal.any([c.signal]); let n = 0;
          c.signal.onabort = () => c.abort(); any.onabort = () => n++; c.abort(); n", "1"),
    ]);
}

#[test]
fn a_signal_removes_listeners() {
    cases(&[
        ("const c = new AbortController(); const t = new EventTarget(); let n = 0;
          t.addEventListener('x', () => n++, { signal: c.signal });
          t.dispatchEvent(new Event('x')); c.abort(); t.dispatchEvent(new Event('x')); n", "1"),
        ("const t = new EventTarget(); let n = 0; t.addEventListener('x', () => n++, { signal: AbortSignal.abort() });
          t.dispatchEvent(new Event('x')); n", "0"),
        // Listeners are gone before the event is fired, which then reaches the other ones.
        ("const c = new AbortController(); const log = [];
          c.signal.addEventListener('abort', () => log.push('removed'), { signal: c.signal });
          c.signal.addEventListener('abort', () => log.push('kept')); c.abort(); log.join()", "kept"),
        ("error(() => new EventTarget().addEventListener('x', () => {}, { signal: null }))", "TypeError"),
    ]);
}

/// Runs a script, collects garbage and runs another.
fn across_collection(before: &str, after: &str) -> String {
    let mut agent = Agent::new();
    agent.eval(before).unwrap();
    agent.context.clear_kept_objects();
    boa_gc::force_collect();
    boa_gc::force_collect();
    agent.eval(after).unwrap()
}

#[test]
fn an_observed_dependent_lives_as_long_as_its_source() {
    for observe in [
        "any.addEventListener('abort', f)",
        "any.onabort = f",
        "t.addEventListener('x', () => {}, { signal: any }); any.onabort = f",
    ] {
        let before = format!(
            "globalThis.c = new AbortController(); globalThis.n = 0; globalThis.t = new EventTarget();
             {{ const any = AbortSignal.any([c.signal]); const f = () => n++; {observe} }}"
        );
        assert_eq!(across_collection(&before, "c.abort(); n"), "1", "{observe}");
    }
}

#[test]
fn a_dependent_that_is_to_remove_a_listener_lives_as_long_as_its_source() {
    let before = "globalThis.c = new AbortController(); globalThis.n = 0; globalThis.t = new EventTarget();
        { const any = AbortSignal.any([c.signal]); t.addEventListener('x', () => n++, { signal: any }) } 0";
    let after = "c.abort(); t.dispatchEvent(new Event('x')); n";
    assert_eq!(across_collection(before, after), "0");
}

#[test]
fn no_source_keeps_what_is_aborted() {
    for aborted in ["one", "two"] {
        let before = format!(
            "globalThis.one = new AbortController(); globalThis.two = new AbortController();
             {{ const any = AbortSignal.any([one.signal, two.signal]); any.onabort = () => {{}}; globalThis.w = new WeakRef(any) }}
             {aborted}.abort()"
        );
        assert_eq!(across_collection(&before, "w.deref()"), "undefined");
    }
}

#[test]
fn an_unobserved_dependent_is_collected() {
    let before = "globalThis.c = new AbortController(); globalThis.w = new WeakRef(AbortSignal.any([c.signal])); 0";
    assert_eq!(across_collection(before, "w.deref()"), "undefined");
}

#[test]
fn a_signal_does_not_keep_the_targets_of_listeners_alive() {
    let before = "globalThis.c = new AbortController();
        { const t = new EventTarget(); t.addEventListener('x', () => t, { signal: c.signal }); globalThis.w = new WeakRef(t); } 0";
    assert_eq!(
        across_collection(before, "c.abort(); w.deref()"),
        "undefined"
    );
}

#[test]
fn many_dependents_of_one_source_work() {
    cases(&[(
        "const c = new AbortController(); let n = 0; const all = [];
         for (let i = 0; i < 100; i++) { const any = AbortSignal.any([c.signal]); any.onabort = () => n++; all.push(any) }
         c.abort(); n",
        "100",
    )]);
}
