//! Running a program: what the shell does with the file or the code that it is given.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use boa_engine::builtins::promise::PromiseState;
use boa_engine::object::builtins::JsPromise;
use boa_engine::property::PropertyDescriptor;
use boa_engine::{
    Context, JsError, JsNativeError, JsResult, JsString, JsValue, Module, NativeFunction, Script,
    Source, js_string,
};

use url::Url;

use super::async_jobs::RunningJobs;
use super::modules::{Loader, read_source, shown_path, source_url};
use super::tasks::TaskSource;
use super::{EventLoop, LoopState};

/// How to understand a source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptKind {
    /// A [classic script](https://html.spec.whatwg.org/#classic-script), which may not import statically.
    Classic,
    /// A [JavaScript module](https://html.spec.whatwg.org/#javascript-module-script).
    Module,
}

impl ScriptKind {
    /// The kind that a file's name says: `.mjs` is a module, everything else a classic script.
    #[must_use]
    pub fn of_file(path: &Path) -> Self {
        match path.extension() {
            Some(extension) if extension == "mjs" => Self::Module,
            _ => Self::Classic,
        }
    }
}

/// Why a program could not be started. Each is one line for the person who started it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file, as it was given.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The text is not JavaScript: `file:line:column: SyntaxError: what was found there`.
    #[error("{0}")]
    Syntax(String),
}

/// A program that has been started.
#[derive(Debug)]
pub struct Evaluation(Outcome);

#[derive(Debug)]
enum Outcome {
    /// A classic script ran to its end.
    Value(JsValue),
    /// A classic script threw; that has been reported.
    Threw,
    /// A module. Its rejection is reported when it comes.
    Module(JsPromise),
}

impl Evaluation {
    /// The value of a classic script's last statement, if it did not throw.
    #[must_use]
    pub fn value(&self) -> Option<&JsValue> {
        match &self.0 {
            Outcome::Value(value) => Some(value),
            Outcome::Threw | Outcome::Module(_) => None,
        }
    }

    /// Whether the program failed, as far as can be told now: it threw, or could not import something.
    #[must_use]
    pub fn failed(&self) -> bool {
        match &self.0 {
            Outcome::Value(_) => false,
            Outcome::Threw => true,
            Outcome::Module(promise) => matches!(promise.state(), PromiseState::Rejected(_)),
        }
    }

    /// Whether this is a module that has not come to its end. After a run of the loop this means that it awaits, at its top
    /// level, something that will never happen.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        match &self.0 {
            Outcome::Value(_) | Outcome::Threw => false,
            Outcome::Module(promise) => matches!(promise.state(), PromiseState::Pending),
        }
    }
}

impl EventLoop {
    /// Starts the program in a file. [`EventLoop::run`] does the rest.
    ///
    /// # Errors
    /// The file cannot be read, or its text is not JavaScript. What the program throws is no error of this function: it is
    /// reported to [`Options::error_reporter`](super::Options::error_reporter), as is an import that fails.
    pub fn evaluate_file(
        &self,
        path: &Path,
        kind: ScriptKind,
        context: &mut Context,
    ) -> Result<Evaluation, ScriptError> {
        let text = read_source(path).map_err(|source| ScriptError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        self.evaluate(&text, path, kind, context)
    }

    /// Starts a program that is not in a file of its own. `name` stands for it in stacks and messages; as a path or a URL
    /// it says what its imports and workers are relative to: with `"[eval]"`, the current directory.
    ///
    /// # Errors
    /// The text is not JavaScript. As to what the program throws, see [`evaluate_file`](Self::evaluate_file).
    pub fn evaluate(
        &self,
        text: &str,
        name: &Path,
        kind: ScriptKind,
        context: &mut Context,
    ) -> Result<Evaluation, ScriptError> {
        self.state
            .handle
            .interrupt()
            .while_armed(context, |context| {
                self.evaluate_armed(text, name, kind, context)
            })
    }

    fn evaluate_armed(
        &self,
        text: &str,
        name: &Path,
        kind: ScriptKind,
        context: &mut Context,
    ) -> Result<Evaluation, ScriptError> {
        let shown = shown_path(name);
        let url = source_url(name);
        if let Some(url) = &url {
            self.state.set_entry_url(url.clone());
        }
        let source = Source::from_bytes(text).with_path(&shown);
        let syntax_error = |error| ScriptError::Syntax(format_syntax_error(&error, &shown, text));
        let mut outcome = Outcome::Threw;
        match kind {
            ScriptKind::Classic => {
                let script = Script::parse(source, None, context).map_err(syntax_error)?;
                let steps = |context: &mut Context| {
                    match script.evaluate(context) {
                        Ok(value) => outcome = Outcome::Value(value),
                        Err(error) => self.state.report_exception(error, context),
                    }
                    self.state.host.program_started(context);
                };
                self.state.run_task(TaskSource::Embedder, steps, context);
            }
            ScriptKind::Module => {
                let module = Module::parse(source, None, context).map_err(syntax_error)?;
                if let (Some(loader), Some(url)) = (context.downcast_module_loader::<Loader>(), url)
                {
                    loader.insert_entry(url, module.clone());
                }
                let steps = |context: &mut Context| match run_module(&module, context) {
                    Ok(promise) => outcome = Outcome::Module(promise),
                    Err(error) => self.state.report_exception(error, context),
                };
                self.state.run_task(TaskSource::Embedder, steps, context);
            }
        }
        Ok(Evaluation(outcome))
    }

    /// Loads a module with all that it imports, and links it, but does not evaluate it. Nothing else of the loop runs
    /// meanwhile. `name` stands for it in stacks; `entry` is what counts as the URL of the program.
    ///
    /// # Errors
    /// What is wrong with it, or with what it imports.
    pub(crate) fn load_module(
        &self,
        text: &str,
        name: &Path,
        entry: Url,
        context: &mut Context,
    ) -> JsResult<Module> {
        self.state.set_entry_url(entry);
        let source = Source::from_bytes(text).with_path(name);
        let module = Module::parse(source, None, context)?;
        let state = &self.state;
        let loaded = module.load(context);
        {
            let context = RefCell::new(&mut *context);
            let mut jobs = RunningJobs::new(&context, state.mailbox());
            loop {
                let woken = state.mailbox().take().woken_jobs;
                self.run_async_jobs(&mut jobs, woken, &context);
                state.perform_microtask_checkpoint(&mut context.borrow_mut());
                if !matches!(loaded.state(), PromiseState::Pending) {
                    break;
                }
                if state.mailbox().is_empty() && state.new_async_jobs.borrow().is_empty() {
                    state.network().wait(None);
                }
            }
        }
        if let PromiseState::Rejected(error) = loaded.state() {
            return Err(JsError::from_opaque(error));
        }
        module.link(context)?;
        Ok(module)
    }

    /// The module loader for the loop's context.
    pub(super) fn module_loader() -> Rc<Loader> {
        Rc::default()
    }
}

/// [Runs a module script](https://html.spec.whatwg.org/#run-a-module-script): loads what it imports, links and evaluates
/// it. If that fails, the exception is reported. The promise is one for the whole.
fn run_module(module: &Module, context: &mut Context) -> JsResult<JsPromise> {
    let loaded = NativeFunction::from_copy_closure_with_captures(
        |_, _, module: &Module, context| {
            let state = LoopState::of(context)?;
            if let Err(error) = module.link(context) {
                state.host.program_failed(error.clone(), context);
                return Err(error);
            }
            let evaluation = module.evaluate(context)?;
            let report = NativeFunction::from_fn_ptr(|_, args, context| {
                LoopState::of(context)?.report_exception(first_as_error(args), context);
                Ok(JsValue::undefined())
            });
            let report = report.to_js_function(context.realm());
            evaluation.catch(report, context)?;
            state.host.program_started(context);
            Ok(evaluation.into())
        },
        module.clone(),
    );
    let not_loaded = NativeFunction::from_fn_ptr(|_, args, context| {
        let error = first_as_error(args);
        let state = LoopState::of(context)?;
        if !state.is_terminated() {
            state.host.program_failed(error.clone(), context);
        }
        Err(error)
    });
    let loaded = loaded.to_js_function(context.realm());
    let not_loaded = not_loaded.to_js_function(context.realm());
    let promise = module
        .load(context)
        .then(Some(loaded), Some(not_loaded), context)?;
    // The above has reported what there was to report.
    let handled = NativeFunction::from_fn_ptr(|_, _, _| Ok(JsValue::undefined()));
    promise.catch(handled.to_js_function(context.realm()), context)?;
    Ok(promise)
}

fn first_as_error(args: &[JsValue]) -> JsError {
    JsError::from_opaque(args.first().cloned().unwrap_or_default())
}

/// An error of the parser as a line for the terminal: `file:line:column: SyntaxError: text`.
fn format_syntax_error(error: &JsError, file: &Path, text: &str) -> String {
    let (position, message) = position_and_message(error, text);
    format!("{}{position}: SyntaxError: {message}", file.display())
}

/// An error of the parser as what a script is thrown: a `SyntaxError` whose stack begins where the parser stopped.
pub(crate) fn syntax_error(
    error: &JsError,
    file: &Path,
    text: &str,
    context: &mut Context,
) -> JsError {
    let (position, message) = position_and_message(error, text);
    let error = JsNativeError::syntax().with_message(message);
    let object = error.into_opaque(context);
    let stack = format!("    at {}{position}", file.display());
    let stack = PropertyDescriptor::builder()
        .value(JsString::from(stack))
        .writable(true)
        .enumerable(false)
        .configurable(true);
    match object.define_property_or_throw(js_string!("stack"), stack, context) {
        Ok(_) => JsError::from_opaque(object.into()),
        // The object is new and ordinary: this cannot happen.
        Err(error) => error,
    }
}

/// Takes a parser's message apart, which ends in the position: `text at line 3, col 7`. Returns `:3:7` and the text.
fn position_and_message(error: &JsError, text: &str) -> (String, String) {
    let message = match error.as_native() {
        Some(native) => native.message().to_string(),
        None => error.to_string(),
    };
    if message == "abrupt end" {
        let line = text.lines().count().max(1);
        let column = text.lines().last().map_or(0, |line| line.chars().count()) + 1;
        return (
            format!(":{line}:{column}"),
            "unexpected end of the text".to_owned(),
        );
    }
    let numbers = message.rsplit_once(" at line ").and_then(|(text, place)| {
        let (line, column) = place
            .split_once(", col ")
            .or_else(|| place.split_once(" column "))?;
        let line: u32 = line.parse().ok()?;
        let column: u32 = column.parse().ok()?;
        Some((format!(":{line}:{column}"), text.to_owned()))
    });
    numbers.unwrap_or((String::new(), message))
}
