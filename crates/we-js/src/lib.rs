//! The web platform on the Boa engine.
#![allow(dead_code)]

mod abort;
mod binding;
mod dom;
mod event_loop;
mod file;
mod platform;
#[cfg(test)]
mod testing;
mod websocket;
