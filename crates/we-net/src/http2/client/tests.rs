#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn servers_without_http2_are_remembered_up_to_a_number() {
    let carriers = Carriers::new(Http2Config {
        prior_knowledge: true,
        ..Http2Config::default()
    });
    let url = |text: &str| Url::parse(text).unwrap();
    assert_eq!(carriers.offer(&url("ws://h/")), Offer::Http2);
    assert_eq!(carriers.offer(&url("wss://h/")), Offer::Both);
    carriers.note_plain(&url("wss://h/a?b"));
    assert_eq!(carriers.offer(&url("wss://h:443/")), Offer::Http1);
    assert_eq!(carriers.offer(&url("wss://h:444/")), Offer::Both);
    assert_eq!(carriers.offer(&url("ws://h/")), Offer::Http2);
    for port in 1000..1000 + MAX_PLAIN {
        carriers.note_plain(&url(&format!("wss://h:{port}/")));
    }
    assert_eq!(carriers.lock().plain.len(), MAX_PLAIN);
    assert_eq!(carriers.offer(&url("wss://h/")), Offer::Both);
    let without = Carriers::new(Http2Config::default());
    assert_eq!(without.offer(&url("ws://h/")), Offer::Http1);
}

#[tokio::test(start_paused = true)]
async fn only_a_connection_without_sockets_is_unused() {
    let seats = Arc::new(Seats::default());
    seats.taken.store(1, SeqCst);
    let url = Url::parse("ws://h/").unwrap();
    let listing = Listing {
        inner: Weak::new(),
        key: key(&url).unwrap(),
        carrier: Weak::new(),
    };
    let idle = Duration::from_secs(10);
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, unused(&seats, idle, &listing)).await.is_err());
    let waiting = unused(&seats, idle, &listing);
    let freed = async {
        seats.taken.store(0, SeqCst);
        seats.changed.notify_one();
    };
    let before = tokio::time::Instant::now();
    tokio::join!(waiting, freed);
    assert_eq!(before.elapsed().as_secs(), 10);
}
