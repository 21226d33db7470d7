use crate::testing::{Agent, cases};

/// Logs the events of a reader: type, state, bytes, whether there is a result.
const LOG: &str = "
    const log = [];
    const reader = new FileReader();
    for (const type of ['loadstart', 'progress', 'load', 'abort', 'error', 'loadend'])
        reader['on' + type] = e => log.push([type, reader.readyState, e.loaded + '/' + e.total, reader.result].join(' '));
";

/// Runs scripts until nothing is left to do, each with what it has logged then.
#[track_caller]
fn logged(table: &[(&str, &str)]) {
    for (script, expected) in table {
        let mut agent = Agent::new();
        let result = agent.eval(&format!("{LOG} {script}; ''"));
        assert_eq!(result.as_deref(), Ok(""), "{script}");
        let log = agent.eval("log.join('; ')");
        assert_eq!(log.as_deref(), Ok(*expected), "{script}");
    }
}

#[test]
fn a_read_tells_of_its_progress_in_tasks() {
    logged(&[
        (
            "reader.readAsText(new Blob(['abc'])); log.push(reader.readyState)",
            "1; loadstart 1 0/3 ; progress 1 3/3 ; load 2 3/3 abc; loadend 2 3/3 abc",
        ),
        (
            "reader.readAsDataURL(new File([], 'x', { type: 'a/b' }))",
            "loadstart 1 0/0 ; load 2 0/0 data:a/b;base64,; loadend 2 0/0 data:a/b;base64,",
        ),
        (
            "reader.onload = e => log.push(e.isTrusted, e.lengthComputable, e.target === reader, e instanceof ProgressEvent, new Uint8Array(reader.result));
             reader.readAsArrayBuffer(new Blob(['A']))",
            "loadstart 1 0/1 ; progress 1 1/1 ; true; true; true; true; 65; loadend 2 1/1 [object ArrayBuffer]",
        ),
    ]);
}

#[test]
fn an_error_is_told() {
    logged(&[(
        "let blob = new Blob([new Uint8Array(1 << 20)]); blob = new Blob([blob, blob]);
         reader.onerror = e => log.push(reader.error.name, reader.readyState);
         reader.readAsBinaryString(blob)",
        "loadstart 1 0/2097152 ; progress 1 2097152/2097152 ; NotReadableError; 2; loadend 2 2097152/2097152 ",
    )]);
}

#[test]
fn an_abort_ends_a_read() {
    logged(&[
        ("reader.abort(); log.push(reader.readyState)", "0"),
        (
            "reader.readAsText(new Blob(['a'])); reader.abort(); log.push('aborted')",
            "abort 2 0/1 ; loadend 2 0/1 ; aborted",
        ),
        (
            "reader.onloadstart = () => reader.abort(); reader.readAsText(new Blob(['a']))",
            "abort 2 0/1 ; loadend 2 0/1 ",
        ),
        (
            "reader.onload = () => reader.abort(); reader.readAsText(new Blob(['a']))",
            "loadstart 1 0/1 ; progress 1 1/1 ; loadend 2 1/1 ",
        ),
    ]);
}

#[test]
fn one_read_at_a_time_and_then_another() {
    logged(&[
        (
            "reader.readAsText(new Blob(['a'])); log.push(error(() => reader.readAsText(new Blob)))",
            "InvalidStateError 11; loadstart 1 0/1 ; progress 1 1/1 ; load 2 1/1 a; loadend 2 1/1 a",
        ),
        (
            // The second read's loadend stands for the first one's too.
            "reader.onload = () => { log.push(reader.result); reader.onload = null; reader.readAsText(new Blob(['bc'])) };
             reader.readAsText(new Blob(['a']))",
            "loadstart 1 0/1 ; progress 1 1/1 ; a; loadstart 1 0/2 ; progress 1 2/2 ; loadend 2 2/2 bc",
        ),
        (
            "reader.onabort = () => reader.readAsText(new Blob(['bc'])); reader.readAsText(new Blob(['a'])); reader.abort()",
            "loadstart 1 0/2 ; progress 1 2/2 ; load 2 2/2 bc; loadend 2 2/2 bc",
        ),
    ]);
}

#[test]
fn the_interface_is_its_idl() {
    cases(&[
        (
            "const r = new FileReader(); [r.readyState, r.result, r.error, r.onload, FileReader.DONE, r.LOADING, r instanceof EventTarget, FileReader.prototype.readAsText.length].join()",
            "0,,,,2,1,true,1",
        ),
        (
            "const r = new FileReader(); [() => r.readAsText(), () => r.readAsText('x'), () => r.readAsText(new Blob, { toString() { throw new RangeError } }), () => FileReader(), () => r.readAsArrayBuffer({})].map(error).join()",
            "TypeError,TypeError,RangeError,TypeError,TypeError",
        ),
        (
            "const e = new ProgressEvent('x', { lengthComputable: 1, loaded: '1.5', total: 2 ** 60 }); [e.lengthComputable, e.loaded, e.total, e.isTrusted, ProgressEvent.__proto__ === Event, new ProgressEvent('y').total].join()",
            "true,1.5,1152921504606847000,false,true,0",
        ),
        (
            "[() => new ProgressEvent(), () => new ProgressEvent('x', { loaded: NaN }), () => new ProgressEvent('x', { total: Infinity }), () => ProgressEvent.prototype.loaded].map(error).join()",
            "TypeError,TypeError,TypeError,TypeError",
        ),
    ]);
}
