//! Others who can reach the broker, and say what they like.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::broker::{Broker, encode};
use crate::machine::{Machine, Person, assert_no_twins, until};

/// The node of a machine, as others call it.
fn node(machine: &Machine) -> String {
    let debug = format!("{:?}", machine.cluster);
    let hex = debug.split("node: ").nth(1).unwrap();
    hex.chars().take(32).collect()
}

#[tokio::test]
async fn garbage_is_ignored() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let a = Machine::start("a", &broker.url()).await;
    let b = Machine::start("b", &broker.url()).await;
    let mut ada = Person::come(&a, "x", "ada").await;
    let mut bob = Person::come(&b, "x", "bob").await;
    let channels = [
        "we:1:nodes:".to_owned(),
        "we:1:room:x".to_owned(),
        format!("we:1:node:{}", node(&a)),
        format!("we:1:node:{}", node(&b)),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for number in 0..500 {
        let len = random() % 200;
        let mut packet: Vec<u8> = (0..len).map(|_| random() as u8).collect();
        if number % 2 == 0 {
            // As far as the first record all is right.
            let beginning = [&[1], [7; 16].as_slice(), &(len as u32).to_le_bytes()].concat();
            packet.splice(0..0, beginning);
        }
        let channel = &channels[number % channels.len()];
        broker
            .command(&[b"PUBLISH", channel.as_bytes(), &packet])
            .unwrap();
    }
    ada.say("all from ada").await;
    bob.say("all from bob").await;
    for person in [&ada, &bob] {
        person.hears("from ada").await;
        person.hears("from bob").await;
        assert_eq!(person.texts().len(), 3, "{:?}", person.texts());
    }
    assert_eq!(a.logged("connect bob"), 1);
}

/// Whatever is said on any channel is said a second time by somebody else.
#[tokio::test]
async fn what_comes_twice_is_heard_once() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let is_over = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let echo = {
        let (mut listener, mut speaker) = (broker.connect().unwrap(), broker.connect().unwrap());
        listener
            .write_all(&encode(&[b"PSUBSCRIBE", b"we:*"]))
            .unwrap();
        let mut answers = speaker.try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
        let (is_over, count) = (is_over.clone(), count.clone());
        std::thread::spawn(move || {
            let mut seen = std::collections::HashSet::new();
            let mut bytes = Vec::new();
            let mut buffer = vec![0; 64 << 10];
            while !is_over.load(Relaxed) {
                let Ok(len) = listener.read(&mut buffer) else {
                    continue;
                };
                bytes.extend_from_slice(&buffer[..len]);
                while let Some((parts, len)) = decode(&bytes) {
                    bytes.drain(..len);
                    let [kind, _, channel, packet] = &parts[..] else {
                        continue;
                    };
                    // A beat is 22 bytes, and says nothing but that.
                    if kind == b"pmessage" && packet.len() > 22 && seen.insert(packet.clone()) {
                        let command = encode(&[b"PUBLISH", channel, packet]);
                        speaker.write_all(&command).unwrap();
                        count.fetch_add(1, Relaxed);
                    }
                }
            }
        })
    };
    let a = Machine::start("a", &broker.url()).await;
    let b = Machine::start("b", &broker.url()).await;
    let mut ada = Person::come(&a, "x", "ada").await;
    let mut bob = Person::come(&b, "x", "bob").await;
    for number in 0..200 {
        let text = |to| format!("{to} {to} {number}");
        ada.say(text("all")).await;
        bob.say(text("others")).await;
        bob.say(text("me")).await;
        bob.say("count").await;
        if number % 20 == 0 {
            bob.hears(&format!("me {number}")).await;
        }
    }
    for person in [&ada, &bob] {
        person.hears("all 199").await;
        person.hears("count 200").await;
        assert_no_twins(&person.name, &person.texts());
    }
    until("much has been said twice", || count.load(Relaxed) > 20).await;
    assert_eq!(ada.texts().len(), 601);
    assert_eq!(bob.texts().len(), 601);
    assert_eq!(a.logged("connect bob"), 1);
    is_over.store(true, Relaxed);
    echo.join().unwrap();
}

/// An answer that is a list of strings and numbers, if it is there as a whole, and its length.
fn decode(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let line = |at: usize| {
        let len = bytes[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(&bytes[at + 1..at + len]).unwrap();
        Some((bytes[at], line.parse::<i64>().unwrap(), at + len + 2))
    };
    if bytes.is_empty() {
        return None;
    }
    let (_, count, mut at) = line(0)?;
    let mut parts = Vec::new();
    for _ in 0..count {
        if at >= bytes.len() {
            return None;
        }
        let (kind, number, next) = line(at)?;
        at = next;
        if kind == b':' {
            parts.push(Vec::new());
            continue;
        }
        let end = at + usize::try_from(number).unwrap();
        parts.push(bytes.get(at..end)?.to_vec());
        at = end + 2;
    }
    (at <= bytes.len()).then_some((parts, at))
}
