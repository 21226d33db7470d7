//! `we serve`: WebSockets served by an application in JavaScript, each by an instance of its own.
//!
//! Three kinds of processes. The server (this one) has the listener and the connections. The [template] has the
//! application, loaded and not evaluated. An instance is a copy of the template that serves one connection, by a socket that leads
//! to the server ([`bridge`]). So whatever an instance does, it does it to itself: its memory and its time are bounded by the system
//! ([`process`]), and come back with its end.
//!
//! | module | what it holds |
//! |---|---|
//! | [`instances`] | making instances ahead of need, how they end, starting the template again |
//! | [`routes`] | which path is whose |
//! | [`bridge`] | messages between a client and its instance |
//! | [`rooms`] | a room's service in an instance |
//! | [`answer`] | a request to an instance, and its answer |
//! | [`files`] | static files |
//! | [`template`] | the template, and what it becomes |
//! | [`watch`] | starting again when files change |
//! | [`orders`] | what server and template say to each other |
//! | [`status`] | a page that shows what is going on |
//! | [`log`] | what is told of instances |
//! | [`process`] | forking and limits: the unsafe part |

mod answer;
mod bridge;
mod files;
mod instances;
mod log;
mod orders;
pub(crate) mod process;
mod rooms;
mod routes;
mod status;
mod template;
mod watch;

use std::sync::Arc;

use tokio::time::timeout;
use we_net::protocol::{Config, KeepAlive};
use we_net::{WebSocket, handshake::Rejection};
use we_rooms::{RoomName, Rooms, cluster::Cluster};

use self::{
    files::Files,
    instances::Instances,
    rooms::RoomInstances,
    routes::{Kind, Routes},
    status::{Look, RoomLine, Status},
};
use crate::{FAILURE, SUCCESS, cli::Serve, complain, listen};

/// The longest message in a room, unless the operator says otherwise: an instance that takes part of its memory for a message must have that for
/// those of several clients.
const ROOM_MESSAGE: usize = 1 << 20;

/// What is served.
struct Served {
    options: Arc<Serve>,
    routes: Arc<Routes>,
    /// Where services are in WebAssembly there are none.
    instances: Option<Arc<Instances>>,
    /// If one of the routes leads to them.
    rooms: Option<Rooms>,
    /// With whom they are shared.
    cluster: Option<Cluster>,
    files: Option<Files>,
}

/// Serves until Ctrl-C, or is the template of a server.
pub(crate) fn run(options: Serve) -> u8 {
    if options.template {
        return template::run(&options);
    }
    if options.watched {
        // Who watches has gone without a word. (It has one thread.)
        let term = rustix::process::Signal::TERM;
        let _ = rustix::process::set_parent_process_death_signal(Some(term));
    } else if options.watch {
        return watch::run(&options);
    }
    raise_descriptor_limit();
    let options = Arc::new(options);
    let files = match options.static_files.as_deref().map(Files::of).transpose() {
        Ok(files) => files,
        Err(problem) => return complain(problem),
    };
    let result = match options.file.extension() {
        Some(extension) if extension == "wasm" => run_module(options, files),
        _ => run_script(options, files),
    };
    match result {
        // What is wrong has been told.
        Ok(()) => SUCCESS,
        Err(problem) if problem.is_empty() => FAILURE,
        Err(problem) => complain(problem),
    }
}

/// Serves a module of WebAssembly, in this process.
fn run_module(options: Arc<Serve>, files: Option<Files>) -> Result<(), String> {
    listen::runtime()?.block_on(async {
        let cluster = rooms::cluster(&options)?;
        let rooms = rooms::of_module(&options, cluster.as_ref())?;
        let served = Served {
            routes: Arc::new(Routes::parse("room /ws/*")),
            options,
            instances: None,
            rooms: Some(rooms),
            cluster,
            files,
        };
        serve(Arc::new(served)).await
    })
}

/// Serves an application in JavaScript, in processes of its own.
fn run_script(options: Arc<Serve>, files: Option<Files>) -> Result<(), String> {
    let instances = Instances::start()?;
    let result = listen::runtime().and_then(|runtime| {
        runtime.block_on(async {
            let served = prepare(options, &instances, files).await?;
            serve(Arc::new(served)).await
        })
    });
    instances.end();
    result
}

/// Whether the application can be evaluated, and what its paths are, is known before anybody connects.
async fn prepare(
    options: Arc<Serve>,
    instances: &Arc<Instances>,
    files: Option<Files>,
) -> Result<Served, String> {
    let mut first = instances
        .take()
        .ok_or("the template has gone before it could be used")?;
    let Some((_, manifest)) = bridge::ready(&mut first).await else {
        return Err(match timeout(bridge::TO_END, first.ended()).await {
            // It has said why.
            Ok(ending) if ending.is_own() => String::new(),
            Ok(ending) => ending.describe(&options),
            Err(_) => format!(
                "{} is not ready after {} s: what does it await at its top level?",
                options.file.display(),
                bridge::TO_BEGIN.as_secs()
            ),
        });
    };
    instances.keep_spares(options.spare.into());
    let routes = Arc::new(Routes::parse(&manifest));
    let cluster = rooms::cluster(&options)?;
    let rooms = routes.rooms().map(|route| {
        let runner = RoomInstances {
            instances: instances.clone(),
            options: options.clone(),
            route: route.to_owned(),
        };
        rooms::rooms(runner, &options, cluster.as_ref())
    });
    if (options.rooms || cluster.is_some()) && rooms.is_none() {
        return Err(format!(
            "{} has no rooms (--rooms, --cluster): write export default room({{ message(client, data, ctx) {{ ... }} }})",
            options.file.display()
        ));
    }
    Ok(Served {
        options,
        routes,
        instances: Some(instances.clone()),
        rooms,
        cluster,
        files,
    })
}

async fn serve(served: Arc<Served>) -> Result<(), String> {
    let listening = &served.options.listening;
    let acceptor = listen::acceptor(listening).config(served.config()).check({
        let served = served.clone();
        move |request| served.check(&request.resource)
    });
    let acceptor = acceptor.build();
    let is_applications = |path: &str| matches!(served.routes.find(path), Some((Kind::Http, _)));
    let status = Status::new(&served.options, acceptor.clone(), is_applications, {
        let served = served.clone();
        move || served.look()
    });
    let builder = listen::builder(listening, acceptor)?
        .max_connections(served.options.max_connections as usize)
        .http({
            let served = served.clone();
            move |request| answer::answer(request, served.clone(), status.clone())
        });
    let server = listen::bind(listening, builder).await?;
    listen::announce(&server, listening);
    listen::end_on_ctrl_c(server.handle());
    let handler = {
        let served = served.clone();
        move |socket| handle(socket, served.clone())
    };
    server.serve(handler).await;
    // Others may take the rooms over while services here hear that all have gone.
    if let Some(cluster) = &served.cluster {
        cluster.leave().await;
    }
    if let Some(rooms) = &served.rooms {
        rooms.end(bridge::TO_END).await;
    }
    Ok(())
}

impl Served {
    /// Whether a WebSocket can be opened at a request's target.
    fn check(&self, target: &str) -> Result<(), Rejection> {
        match self.routes.find(target) {
            Some((Kind::WebSocket, _)) => Ok(()),
            Some((Kind::Room, route)) => match room_name(route, target) {
                Ok(_) => Ok(()),
                Err(problem) => Err(Rejection::new(404, problem)),
            },
            _ => Err(Rejection::new(404, "there is no WebSocket at this path")),
        }
    }

    /// What connections may cost, and when they are given up.
    fn config(&self) -> Config {
        let mut config = Config::server();
        let max_message = match (self.options.max_message_kb, &self.rooms) {
            (Some(kb), _) => (kb as usize) << 10,
            (None, Some(_)) => ROOM_MESSAGE,
            (None, None) => config.limits.max_message_size,
        };
        config.limits.max_message_size = max_message;
        config.keep_alive = (!self.options.no_ping).then_some(KeepAlive {
            interval: self.options.ping,
            timeout: self.options.ping,
        });
        config
    }

    /// What the status page shows.
    fn look(&self) -> Look {
        let rooms = self.rooms.as_ref();
        let instances = self.instances.as_ref();
        let failures = instances.map_or(0, |instances| instances.tally().failures());
        let lines = rooms.map(|rooms| {
            let rooms = rooms.list().into_iter().map(|room| RoomLine {
                name: room.name.to_string(),
                clients: room.clients,
                received: room.totals.received,
                sent: room.totals.sent,
                failures: room.totals.failures,
            });
            rooms.collect()
        });
        Look {
            requests: instances.map(|instances| instances.tally().requests()),
            failures: failures + rooms.map_or(0, |rooms| rooms.totals().failures),
            instances: instances.map(|instances| instances.count()),
            rooms: lines,
        }
    }
}

fn room_name(route: &str, target: &str) -> Result<RoomName, String> {
    let folder = route.strip_suffix("/*").unwrap_or(route);
    RoomName::below(folder, target)
        .map_err(|error| format!("{error}; here they are at {folder}/ROOM"))
}

async fn handle(socket: WebSocket, served: Arc<Served>) {
    let target = &socket.negotiated().resource;
    if let (Some((Kind::Room, route)), Some(rooms)) = (served.routes.find(target), &served.rooms) {
        // Others have been rejected.
        if let Ok(name) = room_name(route, target) {
            rooms.serve(socket, &name).await;
        }
        return;
    }
    if let Some(instances) = served.instances.clone() {
        let (routes, options) = (served.routes.clone(), served.options.clone());
        bridge::serve(socket, routes, instances, options).await;
    }
}

/// A connection takes two descriptors: as many as the system allows are wanted.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that cannot be, fewer connections can.
    let _ = setrlimit(Resource::Nofile, limit);
}
