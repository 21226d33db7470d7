//! [`Application`]: an application from the moment when it is loaded until its connection has ended.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use boa_engine::{Context, JsArgs, JsError, JsResult, JsValue, Module, NativeFunction, js_string};
use boa_gc::{Finalize, Trace};
use tokio::io::AsyncWriteExt as _;
use we_net::protocol::{Config, Connection, Limits, Role};
use we_net::transport::Driver;

use super::{
    Session,
    app::App,
    room::{RoomClient, RoomContext},
    socket::ServerWebSocket,
};
use crate::agent::Agent;
use crate::binding::register;
use crate::event_loop::{EventLoop, LoopState, Options, TaskSource, file_url};
use crate::network::{Delivery, Dial, Opened};
use crate::uncaught::ErrorReporter;
use crate::websocket::{Owner, Sockets};

/// A module and all that it imports, loaded and linked but not evaluated, in a context of its own.
///
/// It has no descriptors and no threads, so the process may be forked, as often as there are to be instances of it.
pub struct Application {
    // The order in which they are dropped: what is of the engine before the loop.
    module: Module,
    context: Context,
    event_loop: EventLoop,
    failure: Failure,
    progress: Arc<AtomicU64>,
    on_stage: OnStage,
}

/// How far an instance of an application has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// It is evaluated, and can take a connection.
    Ready,
    /// Its connection has ended, and it has not: `close` has yet to be called.
    Ended,
}

/// Who wants to know.
#[derive(Clone)]
pub(super) struct OnStage(Rc<dyn Fn(Stage)>);

impl OnStage {
    pub(super) fn tell(&self, stage: Stage) {
        (self.0)(stage);
    }
}

/// Where an uncaught error finds the connection that it ends.
#[derive(Clone, Default)]
struct Failure(Rc<Shared>);

#[derive(Default)]
struct Shared {
    session: RefCell<Option<Session>>,
    has_failed: Cell<bool>,
}

impl Failure {
    fn note(&self) {
        self.0.has_failed.set(true);
        if let Some(session) = &*self.0.session.borrow() {
            session.fail();
        }
    }
}

impl Application {
    /// The byte that an application writes on its link, before anything else, when it can take a connection. Behind it the
    /// two ends of the link speak WebSocket, without an opening handshake: the application as server, the other end as
    /// client. The first message from the application is text with a line for each of its routes: `websocket`, `room` or `http`, a space, and
    /// the path, which may end in `/*`. The first message to the application is a [`ConnectionInfo`](super::ConnectionInfo). The rest is
    /// the connection's; for a request, it is a [`ResponseHead`](super::ResponseHead) and the body.
    pub const READY: u8 = b'!';

    /// Loads an application. What it imports may come from files and servers.
    ///
    /// # Errors
    /// What is wrong, for the person who wrote it; an empty string if that has been told to [`Options::error_reporter`].
    pub fn load(path: &Path, mut options: Options) -> Result<Self, String> {
        let cannot_start = |error: &dyn std::fmt::Display| format!("cannot start: {error}");
        let failure = Failure::default();
        let reporter = options.error_reporter.clone();
        options.error_reporter = ErrorReporter::new({
            let failure = failure.clone();
            move |error| {
                reporter.report(error);
                failure.note();
            }
        });
        let event_loop = EventLoop::new(options).map_err(|error| cannot_start(&error))?;
        let mut context = event_loop
            .context_builder()
            .build()
            .map_err(|error| cannot_start(&error))?;
        event_loop
            .install(&mut context)
            .and_then(|()| register::<ServerWebSocket>(&mut context))
            .and_then(|()| register::<RoomContext>(&mut context))
            .and_then(|()| register::<RoomClient>(&mut context))
            .map_err(|error| cannot_start(&error))?;
        // Whether there is such a file shows before anything says who imports it.
        std::fs::File::open(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let url = file_url(path).map_err(|error| cannot_start(&error))?;
        let main = format!(
            "import * as app from {:?};\nimport {{ resolve }} from 'we:serve/app';\nexport default resolve(app.default);",
            url.as_str()
        );
        let module = event_loop
            .load_module(&main, Path::new("we:serve/main"), url, &mut context)
            .map_err(|error| {
                if let Ok(state) = LoopState::of(&context) {
                    state.report_exception(error, &mut context);
                }
                String::new()
            })?;
        let state = LoopState::of(&context).map_err(|error| cannot_start(&error))?;
        state.network().sleep();
        let progress = state.progress().clone();
        // What is garbage now would be garbage in each instance.
        boa_gc::force_collect();
        Ok(Self {
            module,
            context,
            event_loop,
            failure,
            progress,
            on_stage: OnStage(Rc::new(|_| {})),
        })
    }

    /// Has `tell` called at each stage of [`serve`](Self::serve), between two tasks.
    pub fn on_stage(&mut self, tell: impl Fn(Stage) + 'static) {
        self.on_stage = OnStage(Rc::new(tell));
    }

    /// How far its event loop has come: an odd number while a task runs, another one for each. Whoever sees the same odd number
    /// after a while knows that the application is stuck, or computes for long; it is safe to look from a signal handler.
    pub fn progress(&self) -> Arc<AtomicU64> {
        self.progress.clone()
    }

    /// Evaluates the application and serves the connection at the other end of `link`, until that has ended and its `close`
    /// handler is done.
    ///
    /// What the application throws goes to [`Options::error_reporter`] and ends the connection with 1011.
    ///
    /// # Errors
    /// Why the application has served no connection, where it has not thrown.
    pub fn serve(&mut self, link: UnixStream) -> Result<(), String> {
        let state = LoopState::of(&self.context).map_err(|error| error.to_string())?;
        state
            .network()
            .awaken()
            .map_err(|error| format!("cannot start: {error}"))?;
        // Its time begins now, and not with the process that it is a copy of.
        self.context.insert_data(Agent::new());
        let start = Start {
            module: self.module.clone(),
            link: Rc::new(RefCell::new(Some(link))),
            failure: self.failure.clone(),
            on_stage: self.on_stage.clone(),
        };
        let evaluate = start.clone();
        // As a task of the loop, which drives what the module awaits.
        state.queue_task(TaskSource::Embedder, move |context| {
            if let Err(error) = evaluate.evaluate(context) {
                give_up(error, context);
            }
        });
        self.event_loop
            .run(&mut self.context)
            .map_err(|error| error.to_string())?;
        let never_began = start.link.borrow().is_some();
        if never_began && !self.failure.0.has_failed.get() {
            return Err("the module awaits something that will never happen".to_owned());
        }
        Ok(())
    }
}

/// What leads from the evaluation to the connection.
#[derive(Clone, Trace, Finalize)]
struct Start {
    module: Module,
    /// Until the module has been evaluated.
    #[unsafe_ignore_trace]
    link: Rc<RefCell<Option<UnixStream>>>,
    #[unsafe_ignore_trace]
    failure: Failure,
    #[unsafe_ignore_trace]
    on_stage: OnStage,
}

impl Start {
    fn evaluate(&self, context: &mut Context) -> JsResult<()> {
        let evaluated = self.module.evaluate(context)?;
        let fulfilled = NativeFunction::from_copy_closure_with_captures(
            |_, _, start: &Self, context| {
                if let Err(error) = start.take_connection(context) {
                    give_up(error, context);
                }
                Ok(JsValue::undefined())
            },
            self.clone(),
        );
        let rejected = NativeFunction::from_fn_ptr(|_, args, context| {
            let error = JsError::from_opaque(args.get_or_undefined(0).clone());
            give_up(error, context);
            Ok(JsValue::undefined())
        });
        let fulfilled = fulfilled.to_js_function(context.realm());
        let rejected = rejected.to_js_function(context.realm());
        evaluated.then(Some(fulfilled), Some(rejected), context)?;
        Ok(())
    }

    /// The module has been evaluated: a connection may come.
    fn take_connection(&self, context: &mut Context) -> JsResult<()> {
        let routes = self
            .module
            .namespace(context)
            .get(js_string!("default"), context)?;
        let app = App::from_value(&routes, context)?;
        // An error that nobody has caught so far: there is no trust in what this instance would do.
        if self.failure.0.has_failed.get() {
            LoopState::of(context)?.handle().request_shutdown();
            return Ok(());
        }
        let Some(link) = self.link.take() else {
            return Ok(());
        };
        let handle = LoopState::of(context)?
            .network()
            .connect_without_standby(Link(link), Delivery::Pushed);
        let id = handle.id();
        self.on_stage.tell(Stage::Ready);
        let session = Session::new(app, handle, self.on_stage.clone());
        self.failure.0.session.replace(Some(session.clone()));
        Sockets::of(context).insert(id, Owner::Served(session));
        Ok(())
    }
}

/// There will be no connection: reports the error and ends the loop.
fn give_up(error: JsError, context: &mut Context) {
    if let Ok(state) = LoopState::of(context) {
        state.report_exception(error, context);
        state.handle().request_shutdown();
    }
}

/// The link to the server, as something that is dialled.
struct Link(UnixStream);

impl Dial for Link {
    type Stream = tokio::net::UnixStream;
    type Error = io::Error;

    /// The server knows what has become of its client; and to an instance that was never needed the link just ends.
    const IS_TOLD_OF: bool = false;

    /// A client that sends and does not read is not read from either.
    const MAX_UNWRITTEN: u64 = 64 << 10;

    async fn dial(self) -> io::Result<Opened<Self::Stream>> {
        self.0.set_nonblocking(true)?;
        let mut stream = tokio::net::UnixStream::from_std(self.0)?;
        stream.write_all(&[Application::READY]).await?;
        // The server has its limits for what clients send. That it reads slowly, because the client does, is no offence.
        let config = Config {
            limits: Limits {
                max_message_size: usize::MAX,
                max_small_fragments: u32::MAX,
                ..Limits::default()
            },
            ..Config::default()
        };
        Ok(Opened {
            driver: Driver::new(stream, Connection::new(Role::Server, config)),
            protocol: String::new(),
            extensions: String::new(),
        })
    }
}
