//! `we run` and `we eval`: JavaScript until it has nothing left to do.

use std::{cell::Cell, io::Read, path::Path, path::PathBuf, rc::Rc, thread};

use we_js::{
    ErrorReporter, EventLoop, FileAccess, Options, WorkerSetup,
    boa_engine::{
        Context, JsResult, JsString, JsValue, NativeFunction,
        object::{FunctionObjectBuilder, builtins::JsArray},
        property::Attribute,
    },
    event_loop::{Evaluation, Finished, ScriptError, ScriptKind},
};

use crate::{
    FAILURE, INTERRUPTED, SUCCESS, allocator,
    cli::{Eval, Run, ScriptOptions},
    complain, say,
};

/// The stack of the thread that scripts run on. The engine's parser takes some 20 KiB for each level of nesting;
/// memory is used only as far as the stack grows.
const STACK: usize = 256 << 20;

/// Where the text of a program comes from.
enum Text {
    File(PathBuf),
    Given { text: String, name: &'static str },
}

/// A program, and all that was said about it on the command line.
struct Program {
    text: Text,
    kind: ScriptKind,
    options: ScriptOptions,
    args: Vec<String>,
}

/// `we run`
pub(crate) fn run(command: Run) -> u8 {
    let path = PathBuf::from(command.file);
    let kind = if command.module {
        ScriptKind::Module
    } else {
        ScriptKind::of_file(&path)
    };
    let text = if path == Path::new("-") {
        let mut bytes = Vec::new();
        if let Err(error) = std::io::stdin().lock().read_to_end(&mut bytes) {
            return complain(format_args!("cannot read standard input: {error}"));
        }
        // As the text of a file is decoded.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Text::Given {
            text,
            name: "[stdin]",
        }
    } else {
        Text::File(path)
    };
    execute(Program {
        text,
        kind,
        options: command.script,
        args: command.args,
    })
}

/// `we eval`
pub(crate) fn eval(command: Eval) -> u8 {
    let kind = if command.module {
        ScriptKind::Module
    } else {
        ScriptKind::Classic
    };
    let text = Text::Given {
        text: command.code,
        name: "[eval]",
    };
    execute(Program {
        text,
        kind,
        options: command.script,
        args: command.args,
    })
}

/// Runs a program on a thread of its own, for the sake of its stack.
fn execute(program: Program) -> u8 {
    let agent = thread::Builder::new()
        .name("script".to_owned())
        .stack_size(STACK)
        .spawn(move || agent(&program));
    match agent.map(thread::JoinHandle::join) {
        Ok(Ok(Ok(code))) => code,
        Ok(Ok(Err(problem))) => complain(problem),
        // The panic has printed where it happened.
        Ok(Err(_)) => complain(
            "this is a bug of the shell or of its engine, not of the script; please report it",
        ),
        Err(error) => complain(format_args!(
            "cannot start a thread for the script: {error}"
        )),
    }
}

/// The main agent, from its first line to its last task. Returns the exit code.
fn agent(program: &Program) -> Result<u8, String> {
    allocator::stretch_heap();
    let failed = Rc::new(Cell::new(false));
    let event_loop = EventLoop::new(options(&program.options, &failed)?)
        .map_err(|error| format!("cannot start: {error}"))?;
    let mut context = event_loop
        .context_builder()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    event_loop
        .install(&mut context)
        .and_then(|()| globals(program, &mut context))
        .map_err(|error| format!("cannot start: {error}"))?;
    shut_down_on_ctrl_c(&event_loop);

    let evaluation =
        start(program, &event_loop, &mut context).map_err(|error| error.to_string())?;
    let finished = event_loop
        .run(&mut context)
        .map_err(|error| error.to_string())?;
    Ok(match finished {
        Finished::ShutDown | Finished::Terminated => INTERRUPTED,
        Finished::Idle if evaluation.is_unsettled() => {
            complain("the module awaits something that will never happen")
        }
        Finished::Idle if failed.get() || evaluation.failed() => FAILURE,
        // Only workers close themselves; this agent is none.
        Finished::Idle | Finished::Closed => SUCCESS,
    })
}

fn start(
    program: &Program,
    event_loop: &EventLoop,
    context: &mut Context,
) -> Result<Evaluation, ScriptError> {
    match &program.text {
        Text::File(path) => event_loop.evaluate_file(path, program.kind, context),
        Text::Given { text, name } => {
            event_loop.evaluate(text, Path::new(name), program.kind, context)
        }
    }
}

/// The operator's choices, as the event loop takes them. An error that nobody caught sets `failed`.
fn options(chosen: &ScriptOptions, failed: &Rc<Cell<bool>>) -> Result<Options, String> {
    let mut options = Options::default();
    options.base_url = chosen.location.clone();
    options.origin = chosen.location.as_ref().map(url::Url::origin);
    // The program is a local one, whatever page it plays.
    options.file_access = FileAccess::Allowed;
    options.client = chosen.network.client()?;
    let failed = failed.clone();
    if chosen.expose_gc {
        options.worker_setup = WorkerSetup::new(define_gc);
    }
    options.error_reporter = ErrorReporter::new(move |error| {
        failed.set(true);
        say(error);
    });
    Ok(options)
}

/// What the shell adds to the platform's globals: `scriptArgs`, and `gc` if the operator wants it.
fn globals(program: &Program, context: &mut Context) -> JsResult<()> {
    let args: Vec<JsValue> = program
        .args
        .iter()
        .map(|arg| JsString::from(arg.as_str()).into())
        .collect();
    let args = JsArray::from_iter(args, context);
    context.register_global_property(JsString::from("scriptArgs"), args, Attribute::all())?;
    if program.options.expose_gc {
        define_gc(context)?;
    }
    Ok(())
}

/// `gc()`, which collects garbage.
fn define_gc(context: &mut Context) -> JsResult<()> {
    let collect = NativeFunction::from_fn_ptr(|_, _, context| {
        // Targets of WeakRefs that this job has looked at are kept until its end: not by a collection that is asked for.
        context.clear_kept_objects();
        boa_gc::force_collect();
        Ok(JsValue::undefined())
    });
    let collect = FunctionObjectBuilder::new(context.realm(), collect)
        .name(JsString::from("gc"))
        .build();
    context.register_global_property(JsString::from("gc"), collect, Attribute::all())
}

/// The first Ctrl-C ends the program's connections and then the program; a second one does not wait.
fn shut_down_on_ctrl_c(event_loop: &EventLoop) {
    let handle = event_loop.handle();
    let watch = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            tokio::signal::ctrl_c().await?;
            handle.request_shutdown();
            say("we: closing connections; press Ctrl-C again to stop at once");
            tokio::signal::ctrl_c().await?;
            std::process::exit(INTERRUPTED.into());
        })
    };
    let watcher = thread::Builder::new()
        .name("ctrl-c".to_owned())
        .spawn(move || {
            let watched: std::io::Result<()> = watch();
            if let Err(error) = watched {
                tracing::warn!(%error, "cannot watch for Ctrl-C");
            }
        });
    if let Err(error) = watcher {
        tracing::warn!(%error, "cannot watch for Ctrl-C");
    }
}
