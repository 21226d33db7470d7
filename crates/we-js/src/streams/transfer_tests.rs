//! Streams that are transferred, within an agent. `tests/workers.rs` transfers them between agents.
#![allow(clippy::unwrap_used)]

use crate::{
    event_loop::LoopState,
    testing::{Agent, collect},
};

/// Runs an async function's body; what it returns.
#[track_caller]
fn expect(body: &str, value: &str) {
    let mut agent = Agent::new();
    let script = format!(
        "const move = stream => structuredClone(stream, {{ transfer: [stream] }});
         const rejection = promise => promise.then(() => 'fulfilled', error => error);
         (async () => {{ {body} }})()"
    );
    assert_eq!(agent.eval(&script).as_deref(), Ok(value), "{body}");
}

#[test]
fn a_readable_stream_goes_on_elsewhere() {
    expect(
        "const stream = new ReadableStream({ start(c) { c.enqueue('a'); c.enqueue({ b: [1] }); c.close() } });
         const moved = move(stream), { locked } = stream;
         const chunks = [];
         for await (const chunk of moved) chunks.push(JSON.stringify(chunk));
         return [locked, moved !== stream, moved instanceof ReadableStream, chunks].join(' ')",
        r#"true true true "a",{"b":[1]}"#,
    );
}

#[test]
fn a_moved_stream_pulls_no_more_than_is_read() {
    expect(
        "let pulls = 0;
         const stream = new ReadableStream({ pull(c) { c.enqueue(pulls++) } }, { highWaterMark: 0 });
         const reader = move(stream).getReader();
         for (let i = 0; i < 5; i++) await reader.read();
         await new Promise(r => setTimeout(r, 20));
         return pulls <= 7",
        "true",
    );
}

#[test]
fn ends_and_errors_go_both_ways() {
    expect(
        "let canceled;
         const source = new ReadableStream({ cancel(reason) { canceled = reason } });
         const moved = move(source);
         await moved.cancel('enough');
         while (!canceled) await new Promise(r => setTimeout(r));
         const failing = new ReadableStream({ start(c) { c.error(new RangeError('broken')) } });
         const error = await rejection(move(failing).getReader().read());
         return [canceled, error.name, error.message].join()",
        "enough,RangeError,broken",
    );
    expect(
        "const log = [];
         const sink = { write(chunk) { log.push(chunk) }, close() { log.push('closed') }, abort(e) { log.push('aborted', e) } };
         const writer = move(new WritableStream(sink)).getWriter();
         await writer.write(1); await writer.write(2); await writer.close();
         while (!log.includes('closed')) await new Promise(r => setTimeout(r));
         const other = move(new WritableStream(sink)).getWriter();
         await other.abort('why');
         while (!log.includes('aborted')) await new Promise(r => setTimeout(r));
         return log.join()",
        "1,2,closed,aborted,why",
    );
}

#[test]
fn a_chunk_that_cannot_be_cloned_ends_both() {
    expect(
        "let canceled;
         const stream = new ReadableStream({ start(c) { c.enqueue(() => {}) }, cancel(e) { canceled = e } });
         const error = await rejection(move(stream).getReader().read());
         while (!canceled) await new Promise(r => setTimeout(r));
         return [error.name, canceled.name].join()",
        "DataCloneError,DataCloneError",
    );
}

#[test]
fn a_transform_stream_keeps_transforming() {
    expect(
        "const stream = new TransformStream({ transform(chunk, c) { c.enqueue(chunk * 2) } });
         const { readable, writable } = move(stream), locked = [stream.readable.locked, stream.writable.locked];
         const writer = writable.getWriter();
         writer.write(1); writer.write(2); writer.close();
         const chunks = [];
         for await (const chunk of readable) chunks.push(chunk);
         return [locked, chunks].join()",
        "true,true,2,4",
    );
}

#[test]
fn a_locked_stream_stays() {
    expect(
        "const throws = f => { try { f(); return 'moved' } catch (e) { return e.name } };
         const stream = new ReadableStream(), transform = new TransformStream(), writable = new WritableStream();
         stream.getReader(); writable.getWriter(); transform.readable.getReader();
         return [stream, writable, transform].map(it => throws(() => move(it)))
             .concat(throws(() => structuredClone(new ReadableStream()))).join()",
        "DataCloneError,DataCloneError,DataCloneError,DataCloneError",
    );
}

#[test]
fn a_stream_moves_once() {
    for stream in ["ReadableStream", "WritableStream", "TransformStream"] {
        expect(
            &format!(
                "const stream = new {stream}();
                 const moved = move(stream);
                 await (moved.cancel ?? moved.abort ?? moved.readable?.cancel).call(moved.readable ?? moved, 'done');
                 await (moved.writable?.abort('done'));
                 while ((stream.readable ?? stream).locked || (stream.writable ?? stream).locked) await new Promise(r => setTimeout(r));
                 try {{ move(stream) }} catch (e) {{ return e.name }}"
            ),
            "DataCloneError",
        );
    }
}

/// The two ends of a stream that is moved within an agent refer to one another: the collector can see that.
#[test]
fn what_nobody_reads_is_collected() {
    let mut agent = Agent::new();
    let moved = "for (let i = 0; i < 100; i++) {
            const stream = new ReadableStream({ pull(c) { c.enqueue(1) } });
            structuredClone(stream, { transfer: [stream] });
        }
        new Promise(r => setTimeout(r, 5)).then(() => 0)";
    assert_eq!(agent.eval(moved).as_deref(), Ok("0"));
    for _ in 0..3 {
        collect(&mut agent.context);
    }
    let ports = LoopState::of(&agent.context).unwrap().ports().clone();
    assert_eq!(ports.len(), 0);
}
