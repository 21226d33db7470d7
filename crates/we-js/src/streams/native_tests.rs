//! Streams that Rust makes.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use boa_engine::{Context, JsNativeError, JsResult, JsValue, js_string, property::Attribute};
use boa_gc::{Finalize, Trace};

use super::{
    DefaultController, ReadableStream, Strategy, TransformStream, Transformer, UnderlyingSink,
    UnderlyingSource, WritableStream,
};
use crate::{binding::Promise, testing::Agent};

/// Counts up to a limit, one number a pull.
#[derive(Trace, Finalize)]
struct Counter {
    #[unsafe_ignore_trace]
    next: Cell<i32>,
    limit: i32,
}

impl UnderlyingSource for Counter {
    fn pull(&self, stream: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        let controller = stream.default_controller().unwrap();
        let next = self.next.get();
        self.next.set(next + 1);
        if next == self.limit {
            controller.close(context)?;
        } else {
            controller.enqueue(next.into(), context)?;
        }
        Ok(Promise::fulfilled())
    }

    fn cancel(&self, _: JsValue, _: &mut Context) -> JsResult<Promise> {
        Err(JsNativeError::range().with_message("no").into())
    }
}

fn counter(limit: i32, context: &mut Context) -> (ReadableStream, DefaultController) {
    let source = Counter {
        next: Cell::new(0),
        limit,
    };
    ReadableStream::new(source, &Promise::fulfilled(), Strategy::count(0.0), context).unwrap()
}

fn define(name: &str, value: impl Into<JsValue>, agent: &mut Agent) {
    agent
        .context
        .register_global_property(js_string!(name), value, Attribute::all())
        .unwrap();
}

#[test]
fn a_source_is_pulled_and_canceled() {
    let mut agent = Agent::new();
    let (stream, _) = counter(3, &mut agent.context);
    let object = stream.object(&mut agent.context).unwrap();
    define("rs", object.clone(), &mut agent);
    let script =
        "(async () => { const l = []; for await (const x of rs) l.push(x); return String(l) })()";
    assert_eq!(agent.eval(script).as_deref(), Ok("0,1,2"));
    assert_eq!(stream.object(&mut agent.context).unwrap(), object);

    // An algorithm that throws counts as one that rejects.
    let (stream, controller) = counter(3, &mut agent.context);
    let object = stream.object(&mut agent.context).unwrap();
    define("rs", object, &mut agent);
    assert_eq!(controller.desired_size(), Some(0.0));
    assert_eq!(
        agent.eval("rejection(rs.cancel())").as_deref(),
        Ok("RangeError")
    );
    // It is closed now, so nothing happens.
    controller.enqueue(1.into(), &mut agent.context).unwrap();
    assert_eq!(controller.desired_size(), Some(0.0));
}

#[test]
fn a_stream_can_be_made_to_fail_from_outside() {
    let mut agent = Agent::new();
    let (stream, controller) = counter(3, &mut agent.context);
    let object = stream.object(&mut agent.context).unwrap();
    define("rs", object, &mut agent);
    let reason = JsValue::from(js_string!("broken"));
    controller.error(reason, &mut agent.context).unwrap();
    assert_eq!(
        agent.eval("rejection(rs.getReader().read())").as_deref(),
        Ok("thrown broken")
    );
    assert_eq!(controller.desired_size(), None);
}

/// Puts what is written on the global object; refuses 'bad'.
#[derive(Trace, Finalize)]
struct Log;

impl UnderlyingSink for Log {
    fn write(
        &self,
        chunk: JsValue,
        _: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        if chunk.as_string() == Some(js_string!("bad")) {
            return Ok(Promise::rejected(js_string!("refused").into()));
        }
        let global = context.global_object();
        let log = global.get(js_string!("log"), context)?.to_string(context)?;
        let log = js_string!(&log, &chunk.to_string(context)?);
        global.set(js_string!("log"), log, true, context)?;
        Ok(Promise::fulfilled())
    }
}

#[test]
fn a_sink_is_written_to() {
    let mut agent = Agent::new();
    let start = Promise::fulfilled();
    let context = &mut agent.context;
    let stream = WritableStream::new(Log, &start, Strategy::count(1.0), context).unwrap();
    let object = stream.object(context).unwrap();
    define("ws", object, &mut agent);
    let script = "globalThis.log = ''; const w = ws.getWriter();
        w.write('a'); w.write('b'); rejection(w.write('bad')).then(e => [log, e].join())";
    assert_eq!(agent.eval(script).as_deref(), Ok("ab,thrown refused"));

    let context = &mut agent.context;
    let stream = WritableStream::new(Log, &start, Strategy::count(1.0), context).unwrap();
    let object = stream.object(context).unwrap();
    define("ws", object, &mut agent);
    let reason = JsValue::from(js_string!("gone"));
    stream.error_if_needed(reason, &mut agent.context).unwrap();
    assert_eq!(
        agent
            .eval("rejection(ws.getWriter().write('a'))")
            .as_deref(),
        Ok("thrown gone")
    );
}

/// Says everything twice.
#[derive(Trace, Finalize)]
struct Twice;

impl Transformer for Twice {
    fn transform(
        &self,
        chunk: JsValue,
        stream: &TransformStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        stream.enqueue(chunk.clone(), context)?;
        stream.enqueue(chunk, context)?;
        Ok(Promise::fulfilled())
    }
}

#[test]
fn a_transformer_transforms() {
    let mut agent = Agent::new();
    let stream = TransformStream::new(Twice, &mut agent.context).unwrap();
    let readable = stream.readable().unwrap();
    let readable = readable.object(&mut agent.context).unwrap();
    let writable = stream.writable().unwrap();
    let writable = writable.object(&mut agent.context).unwrap();
    define("readable", readable, &mut agent);
    define("writable", writable, &mut agent);
    let script = "ReadableStream.from([1, 2]).pipeTo(writable);
        (async () => { const l = []; for await (const x of readable) l.push(x); return String(l) })()";
    assert_eq!(agent.eval(script).as_deref(), Ok("1,1,2,2"));
}

/// A stream whose promise never settles is not kept alive by what waits for it.
#[test]
fn what_waits_does_not_leak() {
    let mut agent = Agent::new();
    let script = "
        globalThis.refs = [];
        (() => {
            for (let i = 0; i < 50; i++) {
                const rs = new ReadableStream({ pull() { return new Promise(() => {}) } });
                const ws = new WritableStream({ write() { return new Promise(() => {}) } });
                rs.pipeTo(ws);
                const source = new ReadableStream({ pull(c) { c.enqueue(rs); return new Promise(() => {}) } });
                const [a, b] = source.tee(); a.getReader().read(); b.getReader().read().then(() => ws);
                const bytes = new ReadableStream({ type: 'bytes', autoAllocateChunkSize: 16 }); bytes.getReader().read();
                const ts = new TransformStream({ transform() { return new Promise(() => {}) } }); ts.writable.getWriter().write(rs);
                for (const o of [rs, ws, source, bytes, ts]) refs.push(new WeakRef(o));
            }
        })()";
    agent.eval(script).unwrap();
    boa_gc::force_collect();
    boa_gc::force_collect();
    let alive = agent.eval("refs.filter(r => r.deref()).length").unwrap();
    // The last loop's variables may still be on the engine's stack.
    assert!(alive.parse::<usize>().unwrap() <= 10, "{alive} of 250");
}
