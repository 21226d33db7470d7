//! What compression costs in memory, measured at the allocator: nothing before it is used, a
//! constant after, and no more than the limit for a bomb.
#![allow(clippy::unwrap_used)]

use std::io::IoSlice;
use std::time::Instant;

use we_net::protocol::deflate::{DeflateConfig, DeflateParams, PerMessageDeflate, WindowBits};
use we_net::protocol::{
    Config, Connection, Event, FrameHeader, Limits, Message, OpCode, Role, Rsv, State,
};

/// An allocator that counts: the one thing here that is `unsafe`.
#[allow(unsafe_code)]
mod counting {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    struct Counting;

    static LIVE: AtomicUsize = AtomicUsize::new(0);
    static PEAK: AtomicUsize = AtomicUsize::new(0);

    // SAFETY: every call goes to the system's allocator as it came.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
            PEAK.fetch_max(live, Relaxed);
            // SAFETY: the caller's promise.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            LIVE.fetch_sub(layout.size(), Relaxed);
            // SAFETY: the caller's promise.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    /// Bytes in use.
    pub fn live() -> usize {
        LIVE.load(Relaxed)
    }

    /// The most bytes that were in use at a time while `work` ran, beyond those before it.
    pub fn peak(work: impl FnOnce()) -> usize {
        let before = live();
        PEAK.store(before, Relaxed);
        work();
        PEAK.load(Relaxed) - before
    }
}

const CONNECTIONS: usize = 50;

fn server(config: &DeflateConfig, limits: Limits) -> Connection {
    let params = DeflateParams {
        server_no_context_takeover: config.server_no_context_takeover,
        client_no_context_takeover: config.client_no_context_takeover,
        server_max_window_bits: config.server_max_window_bits,
        client_max_window_bits: config.client_max_window_bits,
    };
    let config = PerMessageDeflate::new(Role::Server, config, &params);
    let limits = Config {
        limits,
        ..Config::default()
    };
    Connection::new(Role::Server, limits).with_extension(Box::new(config))
}

/// A compressed message as a client sends it, with a key of zeros.
fn compressed(payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        fin: true,
        rsv: Rsv::RSV1,
        opcode: OpCode::Binary,
        mask: Some(we_net::protocol::MaskKey::new([0; 4])),
        payload_len: payload.len() as u64,
    };
    [&*header.encode(), payload].concat()
}

fn receive(connection: &mut Connection) {
    let hello = compressed(&[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]);
    connection.receive(Instant::now(), &hello);
    let event = Event::Message(Message::binary(b"Hello"));
    assert_eq!(connection.poll_event(), Some(event));
}

fn send(connection: &mut Connection) {
    let message = Message::text("compress me ".repeat(100));
    connection.send(Instant::now(), message).unwrap();
    while connection.wants_write() {
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = connection.output(&mut slices);
        let shown: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
        assert!(shown < 100);
        connection.output_written(Instant::now(), shown);
    }
}

/// What one connection costs in bytes: opened, after receiving, and after sending as well.
fn cost(config: &DeflateConfig) -> [usize; 3] {
    // What the thread keeps is not counted.
    let mut first = server(config, Limits::default());
    receive(&mut first);
    send(&mut first);

    let before = counting::live();
    let per_connection = || (counting::live() - before) / CONNECTIONS;
    let mut connections: Vec<_> = (0..CONNECTIONS)
        .map(|_| server(config, Limits::default()))
        .collect();
    let opened = per_connection();
    connections.iter_mut().for_each(receive);
    let received = per_connection();
    connections.iter_mut().for_each(send);
    [opened, received, per_connection()]
}

/// A gibibyte of zeros in a mebibyte: one block over and over.
fn bomb() -> Vec<u8> {
    let mut deflate = zlib_rs::Deflate::new(9, false, 15);
    let mut block = vec![0; 4096];
    let flush = zlib_rs::DeflateFlush::FullFlush;
    deflate
        .compress(&vec![0; 1 << 20], &mut block, flush)
        .unwrap();
    assert_eq!(deflate.total_in(), 1 << 20);
    block.truncate(deflate.total_out() as usize);
    block.repeat(1024)
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn memory_is_bounded() {
    let default = DeflateConfig::default();
    let [opened, received, sent] = cost(&default);
    println!("windows of 15: {opened} B opened, {received} B received, {sent} B sent too");
    assert!(opened < 2000);
    assert!(received < opened + 52_000);
    assert!(sent < received + 400_000);

    for bits in [12, 9] {
        let window = WindowBits::new(bits).unwrap();
        let [opened, received, sent] = cost(&DeflateConfig {
            server_max_window_bits: window,
            client_max_window_bits: window,
            ..default
        });
        println!("windows of {bits}: {opened} B opened, {received} B received, {sent} B sent too");
        assert!(sent < received + 180_000);
    }

    let [opened, received, sent] = cost(&DeflateConfig::shared());
    println!("shared: {opened} B opened, {received} B received, {sent} B sent too");
    assert!(opened < 2000);
    assert!(sent < opened + 3000);

    let bomb = compressed(&bomb());
    let limits = Limits {
        max_message_size: 1 << 20,
        ..Limits::default()
    };
    let peak = counting::peak(|| {
        let mut connection = server(&default, limits);
        for chunk in bomb.chunks(64 * 1024) {
            connection.receive(Instant::now(), chunk);
        }
        assert_eq!(connection.state(), State::Closing);
    });
    println!("bomb: {peak} B at most");
    assert!(peak < 3 << 20);
}
