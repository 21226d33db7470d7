//! The instances of an application, each a process that serves one connection; and the [template](super::template) that they are copies
//! of, which is started anew when it has gone.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot::{self, error::TryRecvError};

use super::orders::{Id, News, Order};
use super::status::InstanceCount;
use super::{process, template};
use crate::{cli::Serve, say};

/// How long to wait before a template that has gone is started again; longer each time, unless it has lived for a while.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// How an instance ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    Status(ExitStatus),
    /// It could not be made.
    Refused(i32),
    /// The template has gone, and with it who would know.
    Unknown,
}

impl Ending {
    /// Whether the instance has come to its end by itself, and has told of what went wrong before.
    pub(crate) fn is_own(self) -> bool {
        matches!(self, Self::Status(status) if matches!(status.code(), Some(0 | 1)))
    }

    /// What there is to say of an instance that ended before its connection.
    pub(crate) fn describe(self, options: &Serve) -> String {
        let status = match self {
            Self::Status(status) => status,
            Self::Refused(error) => {
                return format!(
                    "cannot make an instance: {}",
                    io::Error::from_raw_os_error(error)
                );
            }
            Self::Unknown => return "the instance has gone".to_owned(),
        };
        match (status.code(), status.signal()) {
            (Some(process::TOO_BUSY), _) => format!(
                "the instance was ended: it computed for more than {} ms without a pause (--max-busy-ms)",
                options.max_busy_ms
            ),
            (Some(process::OUT_OF_MEMORY), _) => format!(
                "the instance was ended: it needed more than {} MiB of memory (--max-memory-mb)",
                options.max_memory_mb
            ),
            (Some(template::PANICKED), _) => {
                "the instance panicked; this is a bug of the shell or of its engine, please report it"
                    .to_owned()
            }
            (Some(0), _) => "the instance ended".to_owned(),
            (Some(code), _) => format!("the instance ended with code {code}"),
            (None, Some(libc::SIGALRM)) => {
                "the instance was ended: it did not come to its end in time".to_owned()
            }
            // The stack's end is noticed by the standard library, which aborts.
            (None, Some(libc::SIGABRT | libc::SIGSEGV)) => {
                "the instance crashed: its stack was full, or the engine is at fault".to_owned()
            }
            (None, Some(signal)) => format!("the instance was ended by signal {signal}"),
            (None, None) => "the instance has ended".to_owned(),
        }
    }
}

/// A process that serves, or waits to serve, one connection. It is killed when this is dropped, if it has not ended.
pub(crate) struct Instance {
    id: Id,
    link: Option<UnixStream>,
    ended: oneshot::Receiver<Ending>,
    orders: mpsc::Sender<Order>,
    tally: Arc<Tally>,
}

impl Instance {
    /// What has become of all instances.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The socket that leads to it.
    pub(crate) fn take_link(&mut self) -> Option<UnixStream> {
        self.link.take()
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(&mut self) -> Ending {
        (&mut self.ended).await.unwrap_or(Ending::Unknown)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // If it has ended, nobody is meant.
        let _ = self.orders.send(Order::Kill { id: self.id });
        self.tally.dropped.fetch_add(1, Relaxed);
    }
}

/// What has become of instances, for those who look on.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    made: AtomicU64,
    dropped: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
}

impl Tally {
    /// A request is given to an instance.
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// An instance has failed its client: by an error, by what it sent, by its end.
    pub(crate) fn failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }
}

/// Makes instances, some of them ahead of time.
pub(crate) struct Instances {
    tally: Arc<Tally>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: Id,
    template: Option<Template>,
    spares: VecDeque<Instance>,
    /// How many spare instances there are to be.
    wanted: usize,
    tally: Arc<Tally>,
    is_over: bool,
}

#[derive(Clone)]
struct Template {
    orders: mpsc::Sender<Order>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits for the end of which instance.
type Waiting = HashMap<Id, oneshot::Sender<Ending>>;

impl Instances {
    /// Starts the template and waits until it has loaded the application.
    ///
    /// # Errors
    /// If it cannot be started. What is wrong with the application has been told on stderr then: an empty string.
    pub(crate) fn start() -> Result<Arc<Self>, String> {
        let tally = Arc::<Tally>::default();
        let instances = Arc::new(Self {
            tally: tally.clone(),
            state: Mutex::new(State {
                tally,
                ..State::default()
            }),
        });
        let (tell, told) = mpsc::channel();
        thread::Builder::new()
            .name("template".to_owned())
            .spawn({
                let instances = instances.clone();
                move || instances.keep_template(&tell)
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        match told.recv() {
            Ok(Ok(())) => Ok(instances),
            Ok(Err(error)) => Err(format!("cannot start: {error}")),
            // It has ended before it was ready, and has said why.
            Err(_) => Err(String::new()),
        }
    }

    /// An instance for a connection; `None` if there is no template at the moment.
    pub(crate) fn take(&self) -> Option<Instance> {
        let mut state = lock(&self.state);
        state.drop_dead_spares();
        let instance = match state.spares.pop_front() {
            Some(spare) => Some(spare),
            None => state.make(),
        };
        state.refill();
        instance
    }

    /// Has so many instances wait for a connection from now on. Until then there are none: an application that cannot be evaluated is
    /// to say so once.
    pub(crate) fn keep_spares(&self, wanted: usize) {
        let mut state = lock(&self.state);
        state.wanted = wanted;
        state.refill();
    }

    /// What has become of instances so far.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many there are.
    pub(crate) fn count(&self) -> InstanceCount {
        let state = lock(&self.state);
        // Instances are made while this lock is held, and dropped at any time.
        let dropped = self.tally.dropped.load(Relaxed);
        let all = self.tally.made.load(Relaxed).saturating_sub(dropped);
        let spare = state.spares.len();
        let running = usize::try_from(all).unwrap_or(usize::MAX);
        InstanceCount {
            running: running.saturating_sub(spare),
            spare,
        }
    }

    /// The server ends: no further template is started.
    pub(crate) fn end(&self) {
        let mut state = lock(&self.state);
        state.is_over = true;
        state.spares.clear();
        state.template = None;
    }

    /// Runs templates, one after the other. `tell` hears of the first.
    fn keep_template(&self, tell: &mpsc::Sender<io::Result<()>>) {
        let mut pauses = PAUSES.iter();
        let mut is_first = true;
        loop {
            let began = Instant::now();
            match self.run_template(|| {
                let _ = tell.send(Ok(()));
            }) {
                Ok(was_ready) if is_first && !was_ready => return,
                Ok(_) => {}
                Err(error) if is_first => {
                    let _ = tell.send(Err(error));
                    return;
                }
                Err(error) => say(format_args!("we: cannot start the template: {error}")),
            }
            is_first = false;
            if lock(&self.state).is_over {
                return;
            }
            if began.elapsed() > Duration::from_secs(60) {
                pauses = PAUSES.iter();
            }
            let [.., longest] = PAUSES;
            let pause = pauses.next().copied().unwrap_or(longest);
            say(format_args!(
                "we: the template has gone; it is started again in {} ms",
                pause.as_millis()
            ));
            thread::sleep(pause);
        }
    }

    /// Runs a template to its end. Returns whether it was ever ready.
    fn run_template(&self, ready: impl Fn()) -> io::Result<bool> {
        let (control, mut child) = spawn()?;
        let (orders, to_send) = mpsc::channel::<Order>();
        let waiting = Arc::<Mutex<Waiting>>::default();
        let template = Template {
            orders,
            waiting: waiting.clone(),
        };
        let writer = control.try_clone()?;
        thread::Builder::new()
            .name("orders".to_owned())
            .spawn(move || {
                for order in to_send {
                    if order.send(&writer).is_err() {
                        break;
                    }
                }
                // Nobody has orders any more, or nobody takes them.
                let _ = writer.shutdown(std::net::Shutdown::Both);
            })?;
        let mut was_ready = false;
        while let Ok(news) = News::receive(&control) {
            let (id, ending) = match news {
                News::Ready => {
                    let mut state = lock(&self.state);
                    if state.is_over {
                        break;
                    }
                    state.template = Some(template.clone());
                    state.refill();
                    drop(state);
                    was_ready = true;
                    ready();
                    continue;
                }
                News::Ended { id, status } => (id, Ending::Status(ExitStatus::from_raw(status))),
                News::Refused { id, error } => (id, Ending::Refused(error)),
            };
            if let Some(told) = lock(&waiting).remove(&id) {
                let _ = told.send(ending);
            }
        }
        {
            let mut state = lock(&self.state);
            state.template = None;
            state.spares.clear();
        }
        lock(&waiting).clear();
        drop(control);
        let _ = child.wait();
        Ok(was_ready)
    }
}

impl State {
    fn make(&mut self) -> Option<Instance> {
        let template = self.template.as_ref()?;
        let (near, far) = match UnixStream::pair() {
            Ok(pair) => pair,
            Err(error) => {
                say(format_args!("we: cannot make an instance: {error}"));
                return None;
            }
        };
        let id = self.next_id;
        self.next_id += 1;
        let (tell, ended) = oneshot::channel();
        lock(&template.waiting).insert(id, tell);
        let link = OwnedFd::from(far);
        template.orders.send(Order::Fork { id, link }).ok()?;
        self.tally.made.fetch_add(1, Relaxed);
        Some(Instance {
            id,
            link: Some(near),
            ended,
            orders: template.orders.clone(),
            tally: self.tally.clone(),
        })
    }

    /// Forgets the spare instances that have ended: the system may have been out of memory, or the application has thrown an error
    /// after all. They are replaced when the next one is taken, and not at once, as their successors might end as soon.
    fn drop_dead_spares(&mut self) {
        self.spares
            .retain_mut(|spare| matches!(spare.ended.try_recv(), Err(TryRecvError::Empty)));
    }

    fn refill(&mut self) {
        while self.spares.len() < self.wanted
            && let Some(instance) = self.make()
        {
            self.spares.push_back(instance);
        }
    }
}

/// Starts a template: this program once more, with the same arguments and one that says what it is.
fn spawn() -> io::Result<(UnixStream, Child)> {
    let (control, theirs) = UnixStream::pair()?;
    let mut arguments = std::env::args_os().skip(1);
    // This program also if its file has been replaced meanwhile.
    let child = Command::new("/proc/self/exe")
        .args(arguments.next())
        .arg("--template")
        .args(arguments)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    Ok((control, child))
}

/// Nothing panics while one of these locks is held, so a poisoned one is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
