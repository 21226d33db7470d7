//! What is said reaches whom it is for: once, and in order.

use std::time::Duration;

use we_rooms::cluster::ClusterOptions;
use we_rooms::{Event, Recipient, Room, Runner, Running};

use crate::broker::Broker;
use crate::machine::{Log, Machine, Person, assert_no_twins, options};

/// So many things are said by each.
const MANY: usize = 300;

#[tokio::test]
async fn a_counter_counts_right_across_machines() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let a = Machine::start("a", &broker.url()).await;
    let b = Machine::start("b", &broker.url()).await;
    let mut ada = Person::come(&a, "grün%2Fblau", "ada").await;
    let mut bob = Person::come(&b, "grün%2Fblau", "bob").await;
    for _ in 0..50 {
        ada.say("count").await;
        bob.say("count").await;
    }
    for person in [&ada, &bob] {
        person.hears("count 100").await;
        let counts: Vec<_> = person.texts().split_off(1);
        let expected: Vec<_> = (1..=100).map(|n| format!("count {n}")).collect();
        assert_eq!(counts, expected, "{}", person.name);
    }
    // There has been one service, and it has heard of both.
    a.logs(&["init", "connect ada", "connect bob"]).await;
    assert_eq!(b.logged("init"), 0);
}

#[tokio::test]
async fn each_message_reaches_whom_it_is_for_once_and_in_order() {
    let Some(broker) = Broker::start() else {
        return;
    };
    // So long that a slow machine is not taken for a lost one.
    let patient = || ClusterOptions::default().lease(Duration::from_secs(30));
    let mut machines = Vec::new();
    for label in ["a", "b", "c"] {
        machines.push(Machine::with(label, &broker.url(), patient(), |rooms| rooms).await);
    }
    let mut people = Vec::new();
    for (number, machine) in machines.iter().enumerate() {
        for letter in ["x", "y", "z"] {
            let name = format!("{letter}{number}");
            people.push(Person::come(machine, "load", &name).await);
        }
    }
    let names: Vec<_> = people.iter().map(|person| person.name.clone()).collect();
    let talking = people.into_iter().map(|mut person| {
        tokio::spawn(async move {
            for number in 0..MANY {
                let to = ["all", "others", "me"][number % 3];
                let text = format!("{to} {to} {} {number}", person.name);
                person.say(text).await;
            }
            person
        })
    });
    let mut people = Vec::new();
    for talking in talking.collect::<Vec<_>>() {
        people.push(talking.await.unwrap());
    }
    let mut orders = Vec::new();
    for person in &people {
        // From each: all; from others what is for others; from themselves what is for them.
        let count = MANY / 3 * (names.len() + names.len() - 1 + 1);
        person
            .waits("all of it", |heard| heard.texts.len() > count)
            .await;
        let texts = person.texts().split_off(1);
        for name in &names {
            let heard: Vec<_> = texts
                .iter()
                .filter(|text| text.split(' ').nth(1) == Some(name))
                .cloned()
                .collect();
            let is_self = *name == person.name;
            let expected: Vec<_> = (0..MANY)
                .map(|number| (["all", "others", "me"][number % 3], number))
                .filter(|(to, _)| *to == "all" || is_self == (*to == "me"))
                .map(|(to, number)| format!("{to} {name} {number}"))
                .collect();
            assert_eq!(heard, expected, "what {} heard from {name}", person.name);
        }
        let for_all = texts.into_iter().filter(|text| text.starts_with("all"));
        orders.push(for_all.collect::<Vec<_>>());
    }
    for order in &orders {
        assert!(*order == orders[0], "all see the same order");
    }
    let services: usize = machines.iter().map(|machine| machine.logged("init")).sum();
    assert_eq!(services, 1);
}

#[tokio::test]
async fn a_client_elsewhere_can_be_closed_behind_what_it_was_sent() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let a = Machine::start("a", &broker.url()).await;
    let b = Machine::start("b", &broker.url()).await;
    let _ada = Person::come(&a, "x", "ada").await;
    let mut bob = Person::come(&b, "x", "bob").await;
    bob.say("close").await;
    bob.waits("closed", |heard| heard.closure.is_some()).await;
    assert_eq!(bob.texts(), ["welcome", "farewell"]);
    let closure = bob.listener().borrow().closure.clone().unwrap();
    assert_eq!(closure.code, 4321);
    a.logs(&["disconnect bob"]).await;
}

#[tokio::test]
async fn messages_may_be_long() {
    const LONG: usize = 16 << 20;
    let Some(broker) = Broker::start() else {
        return;
    };
    let patient = || ClusterOptions::default().lease(Duration::from_secs(60));
    let a = Machine::with("a", &broker.url(), patient(), |rooms| rooms).await;
    let b = Machine::with("b", &broker.url(), patient(), |rooms| rooms).await;
    let ada = Person::come(&a, "x", "ada").await;
    let mut bob = Person::come(&b, "x", "bob").await;
    for len in [LONG, 0, 3] {
        bob.say(vec![7; len]).await;
        for person in [&ada, &bob] {
            person
                .waits("it", |heard| heard.binary.last() == Some(&len))
                .await;
        }
    }
}

/// More than may be on its way is said while the service takes nothing.
#[tokio::test]
async fn a_slow_service_holds_up_clients_everywhere() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let patient = || ClusterOptions::default().lease(Duration::from_secs(30));
    // The machine that is slow does nothing else meanwhile.
    let a = Machine::with("a", &broker.url(), patient(), |rooms| rooms).await;
    // What comes back all at once is not too much for a client.
    let roomy = |rooms: we_rooms::RoomsBuilder| rooms.max_queue(8 << 20);
    let b = Machine::with("b", &broker.url(), patient(), roomy).await;
    let _ada = Person::come(&a, "x", "ada").await;
    let mut bob = Person::come(&b, "x", "bob").await;
    bob.say("slow 300").await;
    let long = "x".repeat(100_000);
    for number in 0..50 {
        bob.say(format!("me {number} {long}")).await;
    }
    bob.waits("all of it", |heard| heard.texts.len() == 51)
        .await;
    let numbers: Vec<u32> = bob.texts()[1..]
        .iter()
        .map(|text| text.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    assert_eq!(a.logged("connect bob"), 1);
}

#[tokio::test]
async fn what_is_too_much_for_the_broker_is_lost_once_and_the_room_goes_on() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let small = options().max_queue(4000);
    let a = Machine::with("a", &broker.url(), small, |rooms| rooms).await;
    let b = Machine::start("b", &broker.url()).await;
    let mut ada = Person::come(&a, "x", "ada").await;
    let bob = Person::come(&b, "x", "bob").await;
    ada.say("burst 1000").await;
    ada.waits("all of it", |heard| heard.texts.len() == 1001)
        .await;
    // For the service bob has gone and come.
    a.logs(&["disconnect bob"]).await;
    bob.waits("another greeting", |heard| {
        heard.texts.iter().filter(|text| *text == "welcome").count() == 2
    })
    .await;
    ada.say("all good").await;
    bob.hears("good").await;
    assert!(bob.is_connected());
    assert_no_twins("bob", &bob.texts());
    assert!(bob.texts().len() < 1000, "nothing was too much");
}

/// Admits whoever asks for it, and has everybody hear what anybody says.
struct Doorman;

impl Runner for Doorman {
    fn run<'a>(&'a self, room: &'a mut Room) -> Running<'a> {
        Box::pin(async move {
            while let Some(event) = room.next().await {
                match event {
                    Event::Connect(client) => {
                        room.send(client.id().into(), "knock".into());
                    }
                    Event::Message(client, message) if message.as_text() == Some("admit") => {
                        room.admit(client);
                        room.send(client.into(), "welcome".into());
                    }
                    Event::Message(client, message) if message.as_text() == Some("aside") => {
                        room.send(Recipient::EveryoneExcept(client), message);
                    }
                    Event::Message(_, message) => {
                        room.send(Recipient::Everyone, message);
                    }
                    _ => {}
                }
            }
            Ok(())
        })
    }
}

#[tokio::test]
async fn who_is_not_admitted_yet_does_not_hear_what_everyone_does() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let same = |rooms| rooms;
    let url = broker.url();
    let a = Machine::running(Doorman, &url, options(), same, Log::default()).await;
    let b = Machine::running(Doorman, &url, options(), same, Log::default()).await;
    let mut ada = Person::begin(&a, "x", "ada").await;
    ada.say("admit").await;
    ada.hears("welcome").await;
    let mut bob = Person::begin(&b, "x", "bob").await;
    bob.hears("knock").await;
    ada.say("early").await;
    bob.say("earlier").await;
    ada.hears("earlier").await;
    bob.say("admit").await;
    bob.hears("welcome").await;
    ada.say("late").await;
    bob.say("aside").await;
    bob.say("last").await;
    bob.hears("last").await;
    bob.hears("late").await;
    ada.hears("last").await;
    assert_eq!(bob.texts().len(), 4, "{:?}", bob.texts());
    assert!(ada.texts().contains(&"aside".to_owned()));
}

/// `cargo test --release -p we-rooms --features cluster --test cluster -- --ignored --nocapture measure`
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a measurement"]
async fn measure_echoes_beside_the_service_and_through_the_broker() {
    const COUNT: usize = 20_000;
    const AT_ONCE: usize = 200;
    let Some(broker) = Broker::start() else {
        return;
    };
    let a = Machine::start("a", &broker.url()).await;
    let b = Machine::start("b", &broker.url()).await;
    let ada = Person::come(&a, "x", "ada").await;
    let bob = Person::come(&b, "x", "bob").await;
    for (place, mut person) in [("beside the service", ada), ("through the broker", bob)] {
        for at_once in [1, AT_ONCE] {
            let count = COUNT * at_once.min(20) / 20;
            let before = person.texts().len();
            let began = std::time::Instant::now();
            for sent in (at_once..=count).step_by(at_once) {
                for _ in 0..at_once {
                    person.say("me x").await;
                }
                let is_back = |heard: &crate::machine::Heard| heard.texts.len() == before + sent;
                person.waits("all of it", is_back).await;
            }
            let rate = count as f64 / began.elapsed().as_secs_f64();
            println!("{place}, {at_once} at once: {rate:.0} messages/s");
        }
    }
}
