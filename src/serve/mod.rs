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
//! | [`answer`] | a request to an instance, and its answer |
//! | [`template`] | the template, and what it becomes |
//! | [`watch`] | starting again when files change |
//! | [`orders`] | what server and template say to each other |
//! | [`status`] | a page that shows what is going on |
//! | [`log`] | what is told of instances |
//! | [`process`] | forking and limits: the unsafe part |

mod answer;
mod bridge;
mod instances;
mod log;
mod orders;
pub(crate) mod process;
mod routes;
mod status;
mod template;
mod watch;

use std::sync::Arc;

use tokio::time::timeout;
use we_net::handshake::Rejection;

use self::{
    instances::Instances,
    routes::{Kind, Routes},
    status::{Served, Status},
};
use crate::{FAILURE, SUCCESS, cli::Serve, complain, listen};

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
    let instances = match Instances::start(&options) {
        Ok(instances) => instances,
        // The template has said it.
        Err(problem) if problem.is_empty() => return FAILURE,
        Err(problem) => return complain(problem),
    };
    let result = listen::runtime()
        .and_then(|runtime| runtime.block_on(serve(options, Arc::clone(&instances))));
    instances.end();
    match result {
        Ok(()) => SUCCESS,
        Err(problem) if problem.is_empty() => FAILURE,
        Err(problem) => complain(problem),
    }
}

async fn serve(options: Arc<Serve>, instances: Arc<Instances>) -> Result<(), String> {
    // Whether the application can be evaluated, and what its paths are, is known before anybody connects.
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
    let routes = Arc::new(Routes::parse(&manifest));
    drop(first);

    let listening = &options.listening;
    let acceptor = listen::acceptor(listening).check({
        let routes = Arc::clone(&routes);
        move |request| match routes.find(&request.resource) {
            Some((Kind::WebSocket, _)) => Ok(()),
            _ => Err(Rejection::new(404, "there is no WebSocket at this path")),
        }
    });
    let acceptor = acceptor.build();
    let status = Status::new(
        &options,
        acceptor.clone(),
        |path| matches!(routes.find(path), Some((Kind::Http, _))),
        {
            let instances = instances.clone();
            move || Served {
                requests: Some(instances.tally().requests()),
                failures: instances.tally().failures(),
                instances: Some(instances.count()),
                rooms: None,
            }
        },
    );
    let builder = listen::builder(listening, acceptor)?
        .max_connections(options.max_connections as usize)
        .http({
            let (routes, instances, options) = (routes.clone(), instances.clone(), options.clone());
            move |request| {
                let status = status.clone();
                answer::answer(
                    request,
                    routes.clone(),
                    instances.clone(),
                    options.clone(),
                    status,
                )
            }
        });
    let server = listen::bind(listening, builder).await?;
    listen::announce(&server, listening);
    listen::end_on_ctrl_c(server.handle());
    server
        .serve(move |socket| {
            bridge::serve(socket, routes.clone(), instances.clone(), options.clone())
        })
        .await;
    Ok(())
}

/// A connection takes two descriptors: as many as the system allows are wanted.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that cannot be, fewer connections can.
    let _ = setrlimit(Resource::Nofile, limit);
}
