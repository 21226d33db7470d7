//! `we serve`: its status page in a browser. Where there is no Chromium (the Debian package chromium, or what WE_CHROMIUM names) these
//! tests are skipped, but not in CI.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::browser::Browser;
use common::peer::Peer;
use common::serve::{Serve, fixture};
use common::{interrupt, wait};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use we_net::WebSocket;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn page(serve: &Serve) -> String {
    serve.url.replace("ws://", "http://")
}

/// The text of an element.
fn text(id: &str) -> String {
    format!("document.getElementById('{id}').innerText")
}

fn echo(runtime: &Runtime, socket: &mut WebSocket, count: usize) {
    runtime.block_on(async {
        for _ in 0..count {
            socket.send("good evening").await.unwrap();
            assert_eq!(socket.next().await.unwrap(), Some("good evening".into()));
        }
    });
}

#[test]
fn the_page_follows_what_happens() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let echo_app = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/serve/echo.mjs");
    let serve = Serve::start_app(&echo_app.to_string_lossy(), &["--spare", "2"]);
    browser.open(&page(&serve));
    browser.until(&format!("{} === 'connected'", text("state")));
    assert_eq!(browser.eval(&text("title")), "echo.mjs");
    assert_eq!(browser.eval("document.title"), "echo.mjs – we serve");
    browser.until(&format!("{} === '0'", text("open")));

    let runtime = runtime();
    let mut sockets: Vec<_> = (0..3)
        .map(|_| runtime.block_on(we_net::connect(&serve.url)).unwrap())
        .collect();
    browser.until(&format!("{} === '3'", text("open")));
    browser.until(&format!("{} === '3'", text("running")));
    assert_eq!(browser.eval(&text("opened")), "3 in all");
    assert_eq!(browser.eval(&text("spare")), "2 spare");

    // The totals grow by what is sent, and the chart with them.
    echo(&runtime, &mut sockets[0], 1000);
    browser.until(&format!("{} === '1,000'", text("received")));
    browser.until(&format!("{} === '1,000'", text("sent")));
    assert_eq!(browser.eval(&text("received-note")), "12 kB");
    echo(&runtime, &mut sockets[1], 234);
    browser.until(&format!("{} === '1,234'", text("sent")));
    browser.until(&format!(
        "/Now 0 received and 0 sent per second; at most [1-9][\\d,]* /.test({})",
        text("chart-text")
    ));
    for line in ["received", "sent"] {
        let points = format!("[...document.querySelector('#chart polyline.{line}').points]");
        browser.until(&format!("{points}.length >= 4"));
        // Within the chart, from left to right, and not all at its bottom.
        let are_good = browser.eval(&format!(
            "{points}.every(({{ x, y }}, index, all) => x >= 0 && x <= chart.clientWidth && y >= 0 && y <= chart.clientHeight && !(x <= all[index - 1]?.x))
            && new Set({points}.map(({{ y }}) => y)).size > 1"
        ));
        assert_eq!(are_good, true, "{line}");
    }
    let labels = browser.eval(
        "[...document.querySelectorAll('#chart text')].map(text => text.textContent).slice(-3)",
    );
    assert_eq!(labels, json!(["2 min ago", "1 min ago", "now"]));

    // Those who do not see it hear the same.
    let heard = browser.call("Accessibility.getFullAXTree", json!({}));
    let heard = |role: &str| -> Vec<String> {
        let nodes = heard["nodes"].as_array().unwrap().iter();
        nodes
            .filter(|node| node["role"]["value"] == role && node["ignored"] == false)
            .map(|node| {
                node["name"]["value"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    };
    assert_eq!(
        heard("heading"),
        ["echo.mjs", "Counts", "Messages per second"]
    );
    let chart = heard("image").concat();
    assert!(
        chart.contains("received and") && chart.contains("sent per second"),
        "{chart:?}"
    );
    assert_eq!(heard("status").len(), 1);

    for mut socket in sockets {
        runtime.block_on(socket.close(None));
    }
    browser.until(&format!("{} === '0'", text("open")));
    assert_eq!(browser.eval(&text("opened")), "3 in all");
    assert_eq!(browser.eval(&text("failures")), "0");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Three rooms of hostile clients, and one that is quiet.
fn rooms() -> Value {
    let names = [
        "<img src=x onerror=alert(1)>",
        "garden",
        "\u{202e}\u{5d0}live",
        "${alert(1)}</td></table><script>alert(1)</script>",
    ];
    let rooms = names.iter().enumerate().map(|(number, name)| {
        json!({ "name": name, "clients": 40 / (number + 1), "received": 1234 * number, "sent": 56789, "failures": number / 3 })
    });
    rooms.collect()
}

#[test]
fn names_of_rooms_are_text() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let serve = Serve::start(&["--spare", "0"]);
    browser.open(&page(&serve));
    browser.until("last !== null");
    assert_eq!(
        browser.eval("document.getElementById('rooms-section').hidden"),
        true
    );
    // In one go, so that no event comes between.
    let mut show = |change: Value, expression: &str| {
        browser.eval(&format!(
            "show(Object.assign(structuredClone(last), {change})), {expression}"
        ))
    };
    let rooms = rooms();
    let shown = show(
        json!({ "rooms": rooms, "more_rooms": 0 }),
        "({
            names: [...document.querySelectorAll('#rooms tbody bdi')].map(name => name.textContent),
            numbers: [...document.querySelectorAll('#rooms tbody td')].map(cell => cell.textContent),
            others: document.querySelectorAll('img, #rooms script').length,
            heading: document.getElementById('rooms-heading').innerText,
            hasMore: !document.getElementById('more').hidden,
        })",
    );
    let names: Vec<_> = rooms
        .as_array()
        .unwrap()
        .iter()
        .map(|room| &room["name"])
        .collect();
    assert_eq!(shown["names"], json!(names));
    assert_eq!(shown["numbers"].as_array().unwrap().len(), 16);
    assert_eq!(
        shown["numbers"].as_array().unwrap()[4..8],
        ["20", "1,234", "56,789", "0"]
    );
    assert_eq!(shown["others"], 0);
    assert_eq!(shown["heading"], "4 rooms");
    assert_eq!(shown["hasMore"], false);

    let count = "document.querySelectorAll('#rooms tbody tr').length";
    let heading = "document.getElementById('rooms-heading').innerText";
    let one = json!({ "name": "a\nb", "clients": 1, "received": 0, "sent": 0, "failures": 0 });
    let fewer = json!({ "rooms": [one], "more_rooms": 1200 });
    assert_eq!(show(fewer.clone(), count), 1);
    assert_eq!(show(fewer.clone(), heading), "1,201 rooms");
    let more = "document.getElementById('more').innerText";
    assert_eq!(show(fewer, more), "and 1,200 more, with fewer clients");
    assert_eq!(
        show(json!({ "rooms": [] }), heading),
        "No rooms at the moment"
    );

    // A name that is as long as can be does not push the page apart, on a telephone either.
    let long = json!({ "name": "x".repeat(128), "clients": 1, "received": u32::MAX, "sent": 1e15, "failures": 0 });
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        json!({ "width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": true }),
    );
    let fits = browser.eval(&format!(
        "show(Object.assign(structuredClone(last), {{ rooms: [{long}] }})), document.documentElement.scrollWidth <= 360 && document.querySelector('#rooms tbody th').offsetWidth < 360"
    ));
    assert_eq!(fits, true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_page_says_that_it_is_disconnected_and_recovers() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    // An address of its own, so that nobody else takes the port while the server is not there.
    let [.., high, low] = std::process::id().to_be_bytes();
    let host = format!("127.77.{high}.{low}");
    let start = |port: &str| {
        let listen = format!("{host}:{port}");
        Serve::start_at(
            ["--listen", &listen],
            &fixture("app.mjs"),
            &["--spare", "0"],
        )
    };
    let mut serve = start("0");
    let port = serve
        .url
        .trim_end_matches('/')
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let runtime = runtime();
    let mut socket = runtime.block_on(we_net::connect(&serve.url)).unwrap();
    echo(&runtime, &mut socket, 5);
    browser.open(&page(&serve));
    browser.until(&format!("{} === '5'", text("received")));
    browser.until("samples.length >= 2");

    interrupt(&serve.child);
    assert!(wait(&mut serve.child).unwrap().success());
    browser.until(&format!("{} === 'disconnected'", text("state")));
    assert_eq!(
        browser.eval("document.getElementById('main').className"),
        "stale"
    );
    // What was there stays to be seen.
    assert_eq!(browser.eval(&text("received")), "5");

    let _serve = start(&port);
    browser.until(&format!("{} === 'connected'", text("state")));
    assert_eq!(
        browser.eval("document.getElementById('main').className"),
        ""
    );
    browser.until(&format!("{} === '0'", text("received")));
    // Another server's numbers are not held against those of the one before.
    let added = |change: &str| {
        format!(
            "(() => {{
                const before = samples.length;
                show({{ ...last, uptime: last.uptime + 1, {change} }});
                return samples.length - before;
            }})()"
        )
    };
    assert_eq!(browser.eval(&added("")), 1);
    assert_eq!(browser.eval(&added("started: 1")), 0);
    // That the server was not there is all there is to complain about.
    for complaint in browser.complaints() {
        assert!(complaint.contains("net::ERR_"), "{complaint}");
    }
}

#[test]
fn the_page_tries_again_when_too_many_look() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let serve = Serve::start(&["--spare", "0"]);
    let viewers: Vec<_> = (0..32)
        .map(|_| {
            let mut peer = Peer::connect(&serve);
            peer.send("GET /status/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
            peer.take("data: ");
            peer
        })
        .collect();
    browser.open(&page(&serve));
    browser.until(&format!("{} === 'disconnected'", text("state")));
    drop(viewers);
    browser.until(&format!("{} === 'connected'", text("state")));
    for complaint in browser.complaints() {
        assert!(complaint.contains("503"), "{complaint}");
    }
}

#[test]
fn the_page_is_light_or_dark() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let serve = Serve::start(&["--spare", "0"]);
    browser.open(&page(&serve));
    // How light a colour is, from 0 to 1.
    let light = |browser: &mut Browser, property: &str| -> f64 {
        let value = browser.eval(&format!(
            "getComputedStyle(document.body).{property}.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + part / 765, 0)"
        ));
        value.as_f64().unwrap()
    };
    for (scheme, is_dark) in [("light", false), ("dark", true), ("light", false)] {
        browser.dress(scheme);
        let (paper, ink) = (
            light(&mut browser, "backgroundColor"),
            light(&mut browser, "color"),
        );
        assert_eq!(paper < ink, is_dark, "{scheme}: {paper} {ink}");
        assert!((paper - ink).abs() > 0.7, "{scheme}: {paper} {ink}");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
