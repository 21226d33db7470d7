//! The web platform on the Boa engine.
#![allow(dead_code)]

mod abort;
mod base64;
mod binding;
mod dom;
mod encoding;
mod event_loop;
mod file;
mod platform;
#[cfg(test)]
mod testing;
mod websocket;
