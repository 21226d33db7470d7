//! Rooms, as their clients see them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;
use we_net::protocol::{CloseCode, CloseFrame, Closure};
use we_net::{Message, Server, WebSocket};
use we_rooms::{
    Client, ClientId, Context, Event, Failure, OnFailure, Recipient, Room, RoomName, Rooms,
    RoomsBuilder, Runner, Running, Service, SlowClients, services,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the service is told is told to everyone; and what it is asked for it does.
struct Teller {
    room: String,
    living: Arc<AtomicUsize>,
    count: usize,
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.living.fetch_sub(1, Ordering::SeqCst);
        assert_ne!(self.room, "explosive", "when it was dropped");
    }
}

impl Service for Teller {
    fn init(&mut self, ctx: &mut Context<'_>) {
        assert_eq!(ctx.name().as_str(), self.room);
        assert_ne!(self.room, "broken", "broken from the beginning");
    }

    fn connect(&mut self, client: &Client, ctx: &mut Context<'_>) {
        let (id, target) = (client.id(), &client.negotiated().resource);
        ctx.send(Recipient::Everyone, format!("+{id} {target}"));
    }

    fn message(&mut self, client: ClientId, data: Message, ctx: &mut Context<'_>) {
        self.count += 1;
        let text = data.as_text().unwrap_or_default();
        match text.split_once(' ').unwrap_or((text, "")) {
            ("me", text) => ctx.send(client, text),
            ("others", text) => ctx.send(Recipient::EveryoneExcept(client), text),
            ("nobody", text) => ctx.send(ClientId(99), text),
            ("count", _) => ctx.send(client, self.count.to_string()),
            ("close", _) => ctx.close(client, CloseFrame::from(CloseCode::new(4000).unwrap())),
            ("panic", text) => panic!("{text}"),
            ("timer", ms) => ctx.set_timer(Duration::from_millis(ms.parse().unwrap())),
            ("stop", _) => ctx.clear_timer(),
            ("flood", _) => {
                let data = Message::binary(vec![0; 64 << 10]);
                for _ in 0..1000 {
                    ctx.send(Recipient::EveryoneExcept(client), data.clone());
                }
                ctx.send(client, "flooded");
            }
            ("push", _) => {
                let data = Message::binary(vec![0; 64 << 10]);
                ctx.send(Recipient::EveryoneExcept(client), data);
                ctx.send(client, "pushed");
            }
            _ => ctx.send(Recipient::Everyone, data),
        }
    }

    fn disconnect(&mut self, client: ClientId, ctx: &mut Context<'_>) {
        ctx.send(Recipient::Everyone, format!("-{client}"));
    }

    fn timer(&mut self, ctx: &mut Context<'_>) {
        ctx.send(Recipient::Everyone, "time is over");
    }
}

struct Setting {
    rooms: Rooms,
    url: String,
    living: Arc<AtomicUsize>,
    problems: Arc<Mutex<Vec<String>>>,
}

impl Setting {
    async fn new(with: impl FnOnce(RoomsBuilder) -> RoomsBuilder) -> Self {
        let living = Arc::<AtomicUsize>::default();
        let runner = services({
            let living = living.clone();
            move |name| {
                assert_ne!(name.as_str(), "impossible", "when it was made");
                living.fetch_add(1, Ordering::SeqCst);
                Teller {
                    room: name.to_string(),
                    living: living.clone(),
                    count: 0,
                }
            }
        });
        let mut setting = Self::of(runner, with).await;
        setting.living = living;
        setting
    }

    /// A service that takes nothing until it may.
    async fn gated(with: impl FnOnce(RoomsBuilder) -> RoomsBuilder) -> (watch::Sender<bool>, Self) {
        let (open, is_open) = watch::channel(false);
        (open, Self::of(Gate { open: is_open }, with).await)
    }

    async fn of(runner: impl Runner, with: impl FnOnce(RoomsBuilder) -> RoomsBuilder) -> Self {
        let problems = Arc::<Mutex<Vec<String>>>::default();
        let builder = Rooms::builder(runner).on_problem({
            let problems = problems.clone();
            move |name, failure| problems.lock().unwrap().push(format!("{name}: {failure}"))
        });
        let rooms = with(builder).build();
        let server = Server::builder().bind("127.0.0.1:0").await.unwrap();
        let url = server.url();
        tokio::spawn(server.serve(rooms.handler()));
        Self {
            rooms,
            url,
            living: Arc::default(),
            problems,
        }
    }

    /// A client that has been told of its own coming.
    async fn enter(&self, path: &str) -> WebSocket {
        let mut socket = self.connect(path).await;
        let text = text(&mut socket).await;
        assert!(text.starts_with('+') && text.ends_with(path), "{text}");
        socket
    }

    async fn connect(&self, path: &str) -> WebSocket {
        let url = format!("{}{}", self.url, path.trim_start_matches('/'));
        we_net::connect(&url).await.unwrap()
    }

    fn living(&self) -> usize {
        self.living.load(Ordering::SeqCst)
    }

    fn problems(&self) -> Vec<String> {
        self.problems.lock().unwrap().clone()
    }
}

async fn text(socket: &mut WebSocket) -> String {
    match timeout(PATIENCE, socket.next())
        .await
        .expect("nothing comes")
    {
        Ok(Some(Message::Text(text))) => text.into_string(),
        other => panic!("{other:?}"),
    }
}

async fn ask(socket: &mut WebSocket, question: &str) -> String {
    socket.send(question).await.unwrap();
    text(socket).await
}

async fn end(socket: &mut WebSocket) -> Closure {
    let rest = async { while socket.next_event().await.is_some() {} };
    timeout(PATIENCE, rest).await.expect("no end");
    socket.closure().unwrap()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "{what} does not come about");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn messages_are_for_whom_they_are_meant() {
    let setting = Setting::new(|rooms| rooms).await;
    let mut ada = setting.enter("/ws/garden").await;
    let mut grace = setting.enter("/ws/garden").await;
    assert_eq!(text(&mut ada).await, "+2 /ws/garden");
    let mut other = setting.enter("/ws/kitchen").await;

    assert_eq!(ask(&mut ada, "hello").await, "hello");
    assert_eq!(text(&mut grace).await, "hello");
    ada.send("others a").await.unwrap();
    ada.send("nobody b").await.unwrap();
    assert_eq!(ask(&mut ada, "me c").await, "c");
    assert_eq!(text(&mut grace).await, "a");
    assert_eq!(ask(&mut grace, "count").await, "5");
    // In a room of its own nothing of that was heard.
    assert_eq!(ask(&mut other, "count").await, "1");

    ada.send(vec![1, 2, 3]).await.unwrap();
    let bytes = Some(Message::binary(vec![1, 2, 3]));
    assert_eq!(grace.next().await.unwrap(), bytes);
    assert_eq!(ada.next().await.unwrap(), bytes);

    ada.close(None).await;
    assert_eq!(text(&mut grace).await, "-1");
    // Names are not given again.
    let mut again = setting.connect("/ws/garden?again").await;
    assert_eq!(text(&mut again).await, "+3 /ws/garden?again");
    assert_eq!(text(&mut grace).await, "+3 /ws/garden?again");
    drop(grace);
    assert_eq!(text(&mut again).await, "-2");

    let list = setting.rooms.list();
    let list: Vec<_> = list
        .iter()
        .map(|room| (room.name.as_str(), room.clients))
        .collect();
    assert_eq!(list, [("garden", 1), ("kitchen", 1)]);
    let totals = setting.rooms.totals();
    assert_eq!((totals.received, totals.failures), (7, 0));
}

#[tokio::test]
async fn who_asks_for_no_room_is_in_room_1_and_other_paths_are_none() {
    let setting = Setting::new(|rooms| rooms).await;
    setting.enter("/ws").await;
    setting.enter("/ws/").await;
    assert_eq!(setting.rooms.list()[0].name.as_str(), "1");
    for path in ["/", "/ws/a/b", "/other"] {
        let mut socket = setting.connect(path).await;
        let closure = end(&mut socket).await;
        assert_eq!(
            (closure.code, &*closure.reason),
            (1008, "there is no room at this path")
        );
    }
}

#[tokio::test]
async fn an_application_closes_a_client_behind_what_it_has_sent() {
    let setting = Setting::new(|rooms| rooms).await;
    let mut ada = setting.enter("/ws").await;
    let mut grace = setting.enter("/ws").await;
    text(&mut ada).await;
    for n in 0..100 {
        ada.send(format!("me {n}")).await.unwrap();
    }
    ada.send("close").await.unwrap();
    for n in 0..100 {
        assert_eq!(text(&mut ada).await, n.to_string());
    }
    let closure = end(&mut ada).await;
    assert_eq!((closure.code, closure.clean), (4000, true));
    assert_eq!(text(&mut grace).await, "-1");
}

#[tokio::test]
async fn a_room_is_dropped_when_it_has_been_empty_for_a_while() {
    let setting = Setting::new(|rooms| rooms.grace(Duration::from_millis(300))).await;
    let mut ada = setting.enter("/ws/garden").await;
    assert_eq!(ask(&mut ada, "count").await, "1");
    ada.close(None).await;
    // In time: it is the same room still.
    let mut grace = setting.enter("/ws/garden").await;
    assert_eq!(ask(&mut grace, "count").await, "2");
    assert_eq!(setting.living(), 1);
    drop(grace);
    until("the end of the room", || setting.living() == 0).await;
    assert!(setting.rooms.list().is_empty());
    let mut late = setting.enter("/ws/garden").await;
    assert_eq!(ask(&mut late, "count").await, "1");
    assert_eq!(setting.problems(), [""; 0]);
}

#[tokio::test]
async fn there_are_as_many_rooms_as_there_may_be() {
    let setting = Setting::new(|rooms| rooms.max_rooms(2).grace(Duration::from_millis(10))).await;
    let ada = setting.enter("/ws/a").await;
    let _grace = setting.enter("/ws/b").await;
    let mut third = setting.connect("/ws/c").await;
    let closure = end(&mut third).await;
    assert_eq!(closure.code, 1013);
    assert_eq!(
        &*closure.reason,
        "there are 2 rooms, and no more may be made"
    );
    setting.enter("/ws/b").await;
    drop(ada);
    until("the end of a room", || setting.rooms.list().len() == 1).await;
    setting.enter("/ws/c").await;
}

#[tokio::test]
async fn the_timer_runs_out_once_and_can_be_set_again_and_cleared() {
    let setting = Setting::new(|rooms| rooms).await;
    let mut ada = setting.enter("/ws").await;
    // Far later than this test, and then soon.
    ada.send("timer 100000000000").await.unwrap();
    ada.send(format!("timer {}", u64::MAX)).await.unwrap();
    assert_eq!(ask(&mut ada, "timer 0").await, "time is over");
    ada.send("timer 20").await.unwrap();
    ada.send("stop").await.unwrap();
    assert_eq!(ask(&mut ada, "timer 50").await, "time is over");
    assert_eq!(ask(&mut ada, "me that was once").await, "that was once");
}

#[tokio::test]
async fn a_slow_client_is_closed_and_holds_up_nobody() {
    let setting = Setting::new(|rooms| rooms).await;
    let mut ada = setting.enter("/ws").await;
    let mut slow = setting.enter("/ws").await;
    let mut third = setting.enter("/ws/other").await;
    text(&mut ada).await;
    // 64 MB for somebody who does not read.
    assert_eq!(ask(&mut ada, "flood").await, "flooded");
    assert_eq!(text(&mut ada).await, "-2");
    assert_eq!(ask(&mut ada, "count").await, "2");
    assert_eq!(ask(&mut third, "count").await, "1");
    assert_eq!(setting.rooms.totals().too_slow, 1);
    let closure = end(&mut slow).await;
    assert_eq!(closure.code, 1008, "{closure:?}");
    assert!(closure.reason.starts_with("too slow: "), "{closure:?}");
    assert_eq!(setting.problems(), [""; 0]);
}

/// While a write is under way, and what waits grows slowly.
#[tokio::test]
async fn a_client_that_stops_reading_is_closed() {
    let setting = Setting::new(|rooms| rooms).await;
    let mut ada = setting.enter("/ws").await;
    let mut slow = setting.enter("/ws").await;
    text(&mut ada).await;
    let began = Instant::now();
    while setting.rooms.totals().too_slow == 0 {
        assert_eq!(ask(&mut ada, "push").await, "pushed");
    }
    assert_eq!(text(&mut ada).await, "-2");
    // Nobody has waited for a write to time out.
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(end(&mut slow).await.code, 1008);
}

#[tokio::test]
async fn or_a_slow_client_is_not_sent_what_it_does_not_take() {
    let setting = Setting::new(|rooms| {
        rooms
            .slow_clients(SlowClients::SkipMessages)
            .max_queue(256 << 10)
    })
    .await;
    let mut ada = setting.enter("/ws").await;
    let mut slow = setting.enter("/ws").await;
    text(&mut ada).await;
    assert_eq!(ask(&mut ada, "flood").await, "flooded");
    assert!(setting.rooms.totals().skipped > 0);
    assert_eq!(setting.rooms.totals().too_slow, 0);
    // Until it has room again. Whether the answer is skipped itself depends on what has been taken: it is asked for again.
    let mut floods = 0;
    loop {
        match timeout(PATIENCE, slow.next()).await.unwrap().unwrap() {
            Some(Message::Binary(_)) => {
                floods += 1;
                slow.send("me still here").await.unwrap();
            }
            Some(Message::Text(text)) => {
                assert_eq!(text, "still here");
                break;
            }
            None => panic!("{:?}", slow.closure()),
        }
    }
    assert!(floods < 1000, "{floods}");
}

#[tokio::test]
async fn who_was_closed_is_not_heard_while_it_does_not_read() {
    let setting = Setting::new(|rooms| {
        rooms
            .slow_clients(SlowClients::SkipMessages)
            .max_queue(256 << 10)
    })
    .await;
    let mut ada = setting.enter("/ws").await;
    let mut slow = setting.enter("/ws").await;
    text(&mut ada).await;
    let mut told = 0;
    while setting.rooms.totals().skipped == 0 {
        assert_eq!(ask(&mut ada, "push").await, "pushed");
        told += 1;
    }
    slow.send("close").await.unwrap();
    told += 1;
    loop {
        let count = ask(&mut ada, "count").await;
        told += 1;
        if count == told.to_string() {
            break;
        }
    }
    slow.send("still here").await.unwrap();
    for _ in 0..20 {
        told += 1;
        assert_eq!(ask(&mut ada, "count").await, told.to_string());
    }
    assert_eq!(end(&mut slow).await.code, 4000);
    assert_eq!(text(&mut ada).await, "-2");
}

#[tokio::test]
async fn a_service_that_fails_is_gone_with_its_clients() {
    let setting = Setting::new(|rooms| rooms).await;
    let mut ada = setting.enter("/ws/garden").await;
    let mut grace = setting.enter("/ws/garden").await;
    let mut other = setting.enter("/ws/kitchen").await;
    text(&mut ada).await;
    ada.send("panic on purpose").await.unwrap();
    for socket in [&mut ada, &mut grace] {
        let closure = end(socket).await;
        assert_eq!((closure.code, closure.clean), (1011, true));
        assert_eq!(&*closure.reason, "the room's service failed");
    }
    assert_eq!(
        setting.problems(),
        ["garden: the service panicked: on purpose"]
    );
    assert_eq!(ask(&mut other, "count").await, "1");
    // The next one has a fresh room.
    let mut again = setting.enter("/ws/garden").await;
    assert_eq!(ask(&mut again, "count").await, "1");
    until("the end of the service", || setting.living() == 2).await;

    for room in ["broken", "impossible"] {
        let mut socket = setting.connect(&format!("/ws/{room}")).await;
        assert_eq!(end(&mut socket).await.code, 1011, "{room}");
    }
    assert_eq!(setting.problems().len(), 3);
    // Also while another one is on its way already.
    let mut explosive = setting.enter("/ws/explosive").await;
    explosive.send("panic a first time").await.unwrap();
    assert_eq!(end(&mut explosive).await.code, 1011);
    assert_eq!(ask(&mut again, "count").await, "2");
}

#[tokio::test]
async fn a_service_that_fails_at_its_end_is_told_of() {
    let setting = Setting::new(|rooms| rooms.grace(Duration::from_millis(10))).await;
    drop(setting.enter("/ws/explosive").await);
    until("the problem", || !setting.problems().is_empty()).await;
    assert_eq!(
        setting.problems(),
        [
            "explosive: the service panicked: assertion `left != right` failed: when it was dropped\n  left: \"explosive\"\n right: \"explosive\""
        ]
    );
    assert!(setting.rooms.list().is_empty());
}

/// What those had said who went while there was no service is told to none.
#[tokio::test]
async fn a_service_is_told_of_nobody_whose_coming_it_has_not_been_told_of() {
    let setting = Setting::new(|rooms| rooms.on_failure(OnFailure::KeepClients)).await;
    let mut ada = setting.enter("/ws/garden").await;
    let mut grace = setting.enter("/ws/garden").await;
    text(&mut ada).await;
    // The second time there is a pause.
    ada.send("panic once").await.unwrap();
    assert_eq!(text(&mut ada).await, "+1 /ws/garden");
    assert_eq!(text(&mut ada).await, "+2 /ws/garden");
    assert_eq!(text(&mut grace).await, "+2 /ws/garden");
    ada.send("panic twice").await.unwrap();
    until("the failure", || setting.rooms.totals().failures == 2).await;
    let received = setting.rooms.totals().received;
    grace.send("last words").await.unwrap();
    until("the words", || setting.rooms.totals().received > received).await;
    drop(grace);
    until("the going", || setting.rooms.list()[0].clients == 1).await;
    assert_eq!(text(&mut ada).await, "+1 /ws/garden");
    assert_eq!(ask(&mut ada, "count").await, "1");
}

#[tokio::test]
async fn or_its_clients_stay_and_have_a_fresh_one() {
    let setting = Setting::new(|rooms| rooms.on_failure(OnFailure::KeepClients)).await;
    let mut ada = setting.enter("/ws/garden").await;
    let mut grace = setting.enter("/ws/garden").await;
    text(&mut ada).await;
    ada.send("me before").await.unwrap();
    ada.send("panic on purpose").await.unwrap();
    ada.send("me behind").await.unwrap();
    assert_eq!(text(&mut ada).await, "before");
    // They are told of again, in their order; what came behind is not lost.
    assert_eq!(text(&mut ada).await, "+1 /ws/garden");
    assert_eq!(text(&mut ada).await, "+2 /ws/garden");
    assert_eq!(text(&mut ada).await, "behind");
    assert_eq!(text(&mut grace).await, "+2 /ws/garden");
    assert_eq!(ask(&mut grace, "count").await, "2");
    assert_eq!(setting.living(), 1);
    // Who goes is told of to the new one, and who comes.
    drop(ada);
    assert_eq!(text(&mut grace).await, "-1");
    setting.enter("/ws/garden").await;
    assert_eq!(text(&mut grace).await, "+3 /ws/garden");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_always_fails_is_given_up() {
    struct Broken;
    impl Service for Broken {
        fn connect(&mut self, _: &Client, _: &mut Context<'_>) {
            panic!("as ever");
        }
        fn message(&mut self, _: ClientId, _: Message, _: &mut Context<'_>) {}
    }
    let attempts = Arc::<AtomicUsize>::default();
    let runner = services({
        let attempts = attempts.clone();
        move |_| {
            attempts.fetch_add(1, Ordering::SeqCst);
            Broken
        }
    });
    let setting = Setting::of(runner, |rooms| rooms.on_failure(OnFailure::KeepClients)).await;
    let mut ada = setting.connect("/ws").await;
    let closure = end(&mut ada).await;
    assert_eq!(closure.code, 1011);
    assert_eq!(attempts.load(Ordering::SeqCst), 6);
    assert_eq!(setting.rooms.totals().failures, 6);
    assert!(setting.rooms.list().is_empty());
}

/// After a minute in which nothing has gone wrong it may fail as often as before.
#[tokio::test(start_paused = true)]
async fn a_service_that_has_lived_for_a_while_is_not_given_up() {
    let setting = Setting::new(|rooms| rooms.on_failure(OnFailure::KeepClients)).await;
    let mut ada = setting.enter("/ws").await;
    for round in 0..8 {
        assert_eq!(ask(&mut ada, "me here").await, "here", "{round}");
        tokio::time::sleep(Duration::from_secs(61)).await;
        ada.send("panic again").await.unwrap();
        assert_eq!(text(&mut ada).await, "+1 /ws");
    }
}

/// What a slow service has yet to be told of those who have come and gone is bounded: further ones wait outside.
#[tokio::test]
async fn comings_are_bounded() {
    let (open, setting) = Setting::gated(|rooms| rooms).await;
    let mut ada = setting.connect("/ws").await;
    ada.send("held").await.unwrap();
    until("the message", || setting.rooms.totals().received == 1).await;
    let client = we_net::Client::default();
    let mut others = Vec::new();
    // 30 KiB each: some 140 are 4 MiB.
    for _ in 0..200 {
        let mut request = client.request(&*format!("{}ws", setting.url)).unwrap();
        for n in 0..60 {
            request = request.header(format!("X-{n}"), "x".repeat(440)).unwrap();
        }
        others.push(request.connect().await.unwrap());
    }
    let inside = || setting.rooms.list()[0].clients;
    assert!((100..180).contains(&inside()), "{}", inside());
    // They have a place when there is room.
    open.send(true).unwrap();
    until("the others", || inside() == 201).await;
    for socket in &mut others {
        socket.send("hello").await.unwrap();
        assert_eq!(text(socket).await, "hello");
    }
}

#[tokio::test]
async fn an_empty_room_gives_its_place() {
    let setting = Setting::new(|rooms| rooms.max_rooms(2)).await;
    let mut ada = setting.enter("/ws/a").await;
    drop(setting.enter("/ws/b").await);
    until("the going", || setting.rooms.list()[1].clients == 0).await;
    let mut grace = setting.enter("/ws/c").await;
    let names = || -> Vec<_> {
        let rooms = setting.rooms.list().into_iter();
        rooms.map(|room| room.name.to_string()).collect()
    };
    assert_eq!(names(), ["a", "c"]);
    let mut third = setting.connect("/ws/d").await;
    assert_eq!(end(&mut third).await.code, 1013);
    assert_eq!(ask(&mut ada, "count").await, "1");
    assert_eq!(ask(&mut grace, "count").await, "1");
    until("the end of the service", || setting.living() == 2).await;
    assert_eq!(setting.problems(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_closed_has_its_time_to_go() {
    let setting = Setting::new(|rooms| {
        rooms
            .slow_clients(SlowClients::SkipMessages)
            .max_queue(256 << 10)
    })
    .await;
    let mut ada = setting.enter("/ws").await;
    let mut slow = setting.enter("/ws").await;
    text(&mut ada).await;
    while setting.rooms.totals().skipped == 0 {
        assert_eq!(ask(&mut ada, "push").await, "pushed");
    }
    let began = tokio::time::Instant::now();
    slow.send("close").await.unwrap();
    assert_eq!(text(&mut ada).await, "-2");
    let took = began.elapsed();
    assert!((4..8).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn rooms_can_be_ended_and_reached_from_outside() {
    let setting = Setting::new(|rooms| rooms).await;
    let mut ada = setting.enter("/ws/garden").await;
    let garden = RoomName::new("garden").unwrap();
    let sender = setting.rooms.get(&garden).unwrap();
    assert_eq!(sender.send(Recipient::Everyone, "from outside".into()), 1);
    assert_eq!(text(&mut ada).await, "from outside");
    assert!(setting.rooms.get(&RoomName::new("none").unwrap()).is_none());
    setting.rooms.end(PATIENCE).await;
    assert_eq!(setting.living(), 0);
    assert_eq!(end(&mut ada).await.code, 1001);
    let mut late = setting.connect("/ws/garden").await;
    let closure = end(&mut late).await;
    assert_eq!((closure.code, &*closure.reason), (1013, "the server ends"));
}

/// A runner that takes nothing until it may, and then echoes; or comes to a bad end.
struct Gate {
    open: watch::Receiver<bool>,
}

impl Runner for Gate {
    fn run<'a>(&'a self, room: &'a mut Room) -> Running<'a> {
        Box::pin(async move {
            let mut open = self.open.clone();
            match room.name().as_str() {
                "ends" => return Ok(()),
                "later" => return Err(Failure::temporary("not now")),
                "panics" => panic!("a runner"),
                _ => {}
            }
            while let Some(event) = room.next().await {
                match event {
                    Event::Connect(client) => room.admit(client.id()),
                    Event::Message(client, message) => {
                        open.wait_for(|open| *open).await.unwrap();
                        room.send(Recipient::Client(client), message);
                    }
                    _ => {}
                }
            }
            if room.name().as_str() == "stays" {
                std::future::pending::<()>().await;
            }
            Err(Failure::new("after its end"))
        })
    }
}

#[tokio::test]
async fn a_slow_service_holds_up_its_clients() {
    const MESSAGE: usize = 64 << 10;
    const MESSAGES: usize = 1000;
    let (open, setting) = Setting::gated(|rooms| rooms.max_queue(usize::MAX)).await;
    let socket = setting.connect("/ws").await;
    let (mut sender, mut receiver) = socket.split();
    let sent = Arc::<AtomicUsize>::default();
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            for _ in 0..MESSAGES {
                sender.send(vec![0; MESSAGE]).await.unwrap();
                sent.fetch_add(1, Ordering::SeqCst);
            }
            sender
        }
    });
    // What the service has taken, and what its mailbox holds: 15 of these are less than 1 MiB with what they cost beside, 16 more.
    until("the end of what is read", || {
        setting.rooms.totals().received == 1 + 15
    })
    .await;
    // As much as the sockets hold beside, and no more.
    let still = || async {
        let before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        sent.load(Ordering::SeqCst) == before
    };
    while !still().await {}
    assert_eq!(setting.rooms.totals().received, 1 + 15);
    assert!(sent.load(Ordering::SeqCst) < MESSAGES / 2);
    open.send(true).unwrap();
    for _ in 0..MESSAGES {
        let next = timeout(PATIENCE, receiver.next()).await.unwrap();
        assert!(next.unwrap().is_some());
    }
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn runners_that_end_badly_are_told_of() {
    let (_open, is_open) = watch::channel(true);
    let setting = Setting::of(Gate { open: is_open }, |rooms| rooms).await;
    let mut ada = setting.connect("/ws/ends").await;
    assert_eq!(end(&mut ada).await.code, 1011);
    let mut ada = setting.connect("/ws/panics").await;
    assert_eq!(end(&mut ada).await.code, 1011);
    let mut ada = setting.connect("/ws/later").await;
    assert_eq!(end(&mut ada).await.code, 1013);
    drop(setting.connect("/ws/fails").await);
    drop(setting.connect("/ws/stays").await);
    let began = Instant::now();
    while setting.problems().len() < 5 {
        assert!(began.elapsed() < PATIENCE, "{:?}", setting.problems());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut problems = setting.problems();
    problems.sort();
    assert_eq!(
        problems,
        [
            "ends: the service has ended before its room",
            "fails: after its end",
            "later: not now",
            "panics: the service panicked: a runner",
            "stays: the service went on for 10 s after its room",
        ]
    );
}

#[test]
fn the_end_of_the_runtime_of_a_room_closes_its_clients() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let (server, client) = (runtime(), runtime());
    let setting = server.block_on(Setting::new(|rooms| rooms));
    let mut ada = client.block_on(setting.enter("/ws"));
    server.shutdown_background();
    client.block_on(async {
        end(&mut ada).await;
        until("the end of the room", || setting.rooms.list().is_empty()).await;
    });
}

#[tokio::test]
async fn a_runtime_that_has_ended_begins_no_room() {
    let setting = Setting::new(|rooms| rooms).await;
    let ended = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let handle = ended.handle().clone();
    ended.shutdown_background();
    let server = Server::builder().bind("127.0.0.1:0").await.unwrap();
    let url = server.url();
    let rooms = setting.rooms.clone();
    tokio::spawn(server.serve(move |socket| {
        let (rooms, handle) = (rooms.clone(), handle.clone());
        async move {
            let name = RoomName::new("1").unwrap();
            let mut serving = Box::pin(rooms.serve(socket, &name));
            std::future::poll_fn(|cx| {
                let _guard = handle.enter();
                serving.as_mut().poll(cx)
            })
            .await;
        }
    }));
    let mut ada = we_net::connect(&url).await.unwrap();
    assert_eq!(end(&mut ada).await.code, 1001);
    assert!(setting.rooms.list().is_empty());
    setting.enter("/ws").await;
}
