//! Rooms for WebSocket servers: clients that are served together, by a service of their own.
//!
//! A **room** has a name, a [`Service`] and the clients that have joined it. It is made when somebody asks for it by its name, and
//! dropped when it has been empty for a while. [`Rooms`] has all of a server.
//!
//! ```
//! use we_net::{Message, Server};
//! use we_rooms::{ClientId, Context, Recipient, Rooms, Service, services};
//!
//! /// What anybody says all others hear.
//! struct Chat;
//!
//! impl Service for Chat {
//!     fn message(&mut self, client: ClientId, data: Message, ctx: &mut Context<'_>) {
//!         ctx.send(Recipient::EveryoneExcept(client), data);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rooms = Rooms::builder(services(|_name| Chat)).build();
//! let server = Server::builder().bind("127.0.0.1:0").await?;
//! let url = server.url();
//! tokio::spawn(server.serve(rooms.handler()));
//!
//! let mut ada = we_net::connect(&format!("{url}ws/garden")).await?;
//! let mut grace = we_net::connect(&format!("{url}ws/garden")).await?;
//! grace.send("good evening").await?;
//! assert_eq!(ada.next().await?, Some("good evening".into()));
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `service` | the trait, and what its functions are given |
//! | `runner` | who runs services: those in Rust, here; others by a trait of their own |
//! | `shared` | a room, as its clients see it |
//! | `room` | a room, as its service sees it |
//! | `queue` | what waits for a client |
//! | `client` | the connection of a client, as a task |
//! | `rooms` | all rooms, by name |
//! | `supervisor` | the life of a room: begin, failure, restart, end |
//! | `elsewhere` | clients of a room that are connected to other machines |
//! | `cluster` | rooms that are shared by several machines (feature `cluster`) |
//! | `name` | names, and the paths that they stand in |
//! | `wasm` | services that are WebAssembly modules; there with the feature `wasm` |

mod client;
#[cfg(feature = "cluster")]
pub mod cluster;
mod elsewhere;
mod name;
mod queue;
mod room;
mod rooms;
mod runner;
mod service;
mod shared;
mod supervisor;
#[cfg(feature = "wasm")]
pub mod wasm;

pub use client::Client;
pub use name::{InvalidRoomName, RoomName};
pub use queue::SlowClients;
pub use room::{Event, Room, RoomSender};
pub use rooms::{OnFailure, RoomStatus, Rooms, RoomsBuilder, Serving, Totals};
pub use runner::{Failure, Runner, Running, services};
pub use service::{ClientId, Context, Recipient, Service};
