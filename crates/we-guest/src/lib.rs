//! Services of rooms as WebAssembly modules, in Rust.
//!
//! A server made with `we-rooms` has rooms, each with a service and the clients that have joined it. With this crate the service is a
//! module that the server loads when it starts: write a [`Service`], give it to [`serve`] in a function that is called `we_service`, make
//! the crate a `cdylib` (`crate-type` of `[lib]` in its Cargo.toml), and build it:
//!
//! ```text
//! rustup target add wasm32-unknown-unknown
//! cargo build --release --target wasm32-unknown-unknown
//! ```
//!
//! (Or `wasm32-wasip1`, which has a clock and random bytes.)
//!
//! ```
//! use we_guest::{ClientId, Context, Message, Recipient, Service};
//!
//! /// What anybody says all others hear.
//! struct Chat;
//!
//! impl Service for Chat {
//!     fn message(&mut self, client: ClientId, data: Message<'_>, ctx: &mut Context<'_>) {
//!         ctx.send(Recipient::EveryoneExcept(client), data);
//!     }
//! }
//!
//! #[no_mangle]
//! pub extern "C" fn we_service() {
//!     we_guest::serve(Chat);
//! }
//!
//! // In a test of its own, without a server:
//! let mut room = we_guest::testing::Room::new("garden", Chat);
//! let ada = room.enter();
//! let grace = room.enter();
//! room.say(grace, "good evening");
//! assert_eq!(room.heard(ada), ["good evening".into()]);
//! ```
//!
//! Each room has an instance of the module with memory of its own. A service that panics, needs more memory or computes for longer than the
//! server allows has failed: its clients are closed, no other room notices, and who operates the server is told the message of the panic.
//! What is printed goes to the server's log with `wasm32-wasip1`, and nowhere with `wasm32-unknown-unknown`; [`Context::log`] does with both.
//!
//! | module | what it holds |
//! |---|---|
//! | `service` | the trait, and what its functions are given |
//! | `exports` | what the host calls, and who of the guest is called then |
//! | `imports` | what the host can do, called through the module's imports |
//! | [`testing`] | a room without a host |

mod exports;
#[cfg(target_arch = "wasm32")]
mod imports;
mod service;
pub mod testing;

pub use exports::serve;
pub use service::{ClientId, ClientInfo, Context, Message, Recipient, Service};
