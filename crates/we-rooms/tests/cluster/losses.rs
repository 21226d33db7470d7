//! What is lost: the broker, machines, and the way between them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use we_rooms::{Event, Recipient, Room, Runner, Running};

use crate::broker::{Broker, Proxy};
use crate::machine::{Log, Machine, Person, assert_no_twins, options, until};

/// People who talk all the time.
struct Chatter {
    stop: watch::Sender<()>,
    people: Vec<(
        String,
        watch::Receiver<crate::machine::Heard>,
        Arc<Mutex<u64>>,
    )>,
    tasks: Vec<tokio::task::JoinHandle<Person>>,
}

impl Chatter {
    fn begin(prefix: &'static str, people: Vec<Person>) -> Self {
        let (stop, stopped) = watch::channel(());
        let mut chatter = Self {
            stop,
            people: Vec::new(),
            tasks: Vec::new(),
        };
        for person in people {
            let said = Arc::<Mutex<u64>>::default();
            let listener = person.listener();
            chatter
                .people
                .push((person.name.clone(), listener, said.clone()));
            let task = person.chatter(prefix, stopped.clone(), said);
            chatter.tasks.push(tokio::spawn(task));
        }
        chatter
    }

    /// Waits until each of `listeners` has heard something that each of `speakers` says from now on.
    async fn hear(&self, listeners: &[usize], speakers: &[usize]) {
        let now = |speaker: usize| *self.people[speaker].2.lock().unwrap();
        let since: Vec<_> = speakers.iter().map(|speaker| now(*speaker)).collect();
        for listener in listeners {
            for (speaker, since) in speakers.iter().zip(&since) {
                let (speaker, ..) = &self.people[*speaker];
                let (name, heard, _) = &self.people[*listener];
                let what = format!("{name} hears {speaker} after {since}");
                until(&what, || {
                    let heard = heard.borrow();
                    let mut newest = heard.texts.iter().rev();
                    newest.any(|text| number(text, speaker).is_some_and(|n| n > *since))
                })
                .await;
            }
        }
    }

    /// Returns the people.
    async fn end(self) -> Vec<Person> {
        drop(self.stop);
        let mut people = Vec::new();
        for task in self.tasks {
            people.push(task.await.unwrap());
        }
        for person in &people {
            assert!(person.is_connected(), "{} stayed", person.name);
            assert_no_twins(&person.name, &person.texts());
            // What each says is heard in the order in which it was said.
            for speaker in &people {
                let texts = person.texts();
                let numbers = texts.iter().filter_map(|t| number(t, &speaker.name));
                assert!(numbers.is_sorted(), "{} of {}", person.name, speaker.name);
            }
        }
        people
    }
}

/// The number of what a speaker has said.
fn number(text: &str, speaker: &str) -> Option<u64> {
    let text = text.split('|').next()?;
    text.strip_prefix(speaker)?.trim().parse().ok()
}

#[tokio::test]
async fn a_lost_broker_keeps_all_served_and_a_new_one_brings_them_together() {
    let Some(mut broker) = Broker::start() else {
        return;
    };
    let a = Machine::start("a", &broker.url()).await;
    let b = Machine::start("b", &broker.url()).await;
    let ada = Person::come(&a, "x", "ada").await;
    let bob = Person::come(&b, "x", "bob").await;
    let chatter = Chatter::begin("all ", vec![ada, bob]);
    chatter.hear(&[0, 1], &[0, 1]).await;
    for round in 1..=2 {
        broker.kill();
        let lost = Instant::now();
        chatter.hear(&[0], &[0]).await;
        chatter.hear(&[1], &[1]).await;
        assert!(lost.elapsed() < Duration::from_secs(10), "round {round}");
        until("both have noticed", || {
            !a.cluster.is_connected() && !b.cluster.is_connected()
        })
        .await;
        // Again, of what is said by now.
        chatter.hear(&[0], &[0]).await;
        chatter.hear(&[1], &[1]).await;
        broker.restart();
        chatter.hear(&[0, 1], &[0, 1]).await;
    }
    chatter.end().await;
}

#[tokio::test]
async fn a_lost_owner_is_followed_by_another_one() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let a = Machine::start("a", &broker.url()).await;
    let b = Machine::start("b", &broker.url()).await;
    let c = Machine::start("c", &broker.url()).await;
    let _ada = Person::come(&a, "x", "ada").await;
    let bob = Person::come(&b, "x", "bob").await;
    let cyd = Person::come(&c, "x", "cyd").await;
    assert_eq!(a.logged("init"), 1);
    let chatter = Chatter::begin("tag ", vec![bob, cyd]);
    chatter.hear(&[0, 1], &[0, 1]).await;
    a.vanish();
    let lost = Instant::now();
    until("another one has the room", || {
        b.logged("init") + c.logged("init") == 1
    })
    .await;
    // Twice the lease: its rest, and time to find out.
    assert!(lost.elapsed() < Duration::from_secs(6), "{lost:?}");
    chatter.hear(&[0, 1], &[0, 1]).await;
    chatter.end().await;
    assert_eq!(b.logged("init") + c.logged("init"), 1);
}

#[tokio::test]
async fn a_lost_follower_is_told_to_the_service() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let a = Machine::start("a", &broker.url()).await;
    let b = Machine::start("b", &broker.url()).await;
    let mut ada = Person::come(&a, "x", "ada").await;
    let _bob = Person::come(&b, "x", "bob").await;
    let _ben = Person::come(&b, "x", "ben").await;
    b.vanish();
    a.logs(&["disconnect bob", "disconnect ben"]).await;
    ada.say("all the same").await;
    ada.hears("the same").await;
    assert_eq!(a.logged("init"), 1);
}

#[tokio::test]
async fn an_owner_that_cannot_be_reached_speaks_to_nobody_in_the_name_of_the_room() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let proxy = Proxy::start(broker.port).await;
    let a = Machine::start("a", &proxy.url()).await;
    let b = Machine::start("b", &broker.url()).await;
    let c = Machine::start("c", &broker.url()).await;
    let ada = Person::come(&a, "x", "ada").await;
    let bob = Person::come(&b, "x", "bob").await;
    let cyd = Person::come(&c, "x", "cyd").await;
    assert_eq!(a.logged("init"), 1);
    let chatter = Chatter::begin("tag ", vec![ada, bob, cyd]);
    chatter.hear(&[0, 1, 2], &[0, 1, 2]).await;

    proxy.stop_up();
    until("another one has the room", || {
        b.logged("init") + c.logged("init") == 1
    })
    .await;
    // Both parts are served, each by itself.
    chatter.hear(&[0], &[0]).await;
    chatter.hear(&[1, 2], &[1, 2]).await;
    assert_eq!(a.logged("init"), 1, "it went on");

    // What has been held up comes now, behind what it should have come before.
    proxy.open();
    chatter.hear(&[0, 1, 2], &[0, 1, 2]).await;
    let people = chatter.end().await;
    let label = |text: &String| text.split_once('|').map(|(_, label)| label.to_owned());
    for person in &people {
        let mut labels: Vec<_> = person.texts().iter().filter_map(label).collect();
        labels.dedup();
        assert_eq!(labels.len(), 2, "{}: {labels:?}", person.name);
        assert_eq!(labels[0], "a");
    }
    assert_eq!(b.logged("init") + c.logged("init"), 1);
    a.logs(&["connect bob", "disconnect bob"]).await;
}

#[tokio::test]
async fn a_follower_that_cannot_be_reached_is_served_by_itself_and_comes_back() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let proxy = Proxy::start(broker.port).await;
    let a = Machine::start("a", &broker.url()).await;
    let b = Machine::with("b", &proxy.url(), options(), |rooms| rooms).await;
    let ada = Person::come(&a, "x", "ada").await;
    let bob = Person::come(&b, "x", "bob").await;
    let chatter = Chatter::begin("tag ", vec![ada, bob]);
    chatter.hear(&[0, 1], &[0, 1]).await;
    for _ in 0..2 {
        let services = b.logged("init");
        proxy.stop_up();
        until("it serves by itself", || b.logged("init") > services).await;
        chatter.hear(&[0], &[0]).await;
        chatter.hear(&[1], &[1]).await;
        proxy.open();
        chatter.hear(&[0, 1], &[0, 1]).await;
    }
    chatter.end().await;
    assert_eq!(a.logged("init"), 1, "the owner stayed the owner");
}

/// Tells when it ends by itself, and not when it is cut off.
struct Polite(Log);

impl Runner for Polite {
    fn run<'a>(&'a self, room: &'a mut Room) -> Running<'a> {
        Box::pin(async move {
            self.0.send_modify(|log| log.push("begun".to_owned()));
            while let Some(event) = room.next().await {
                match event {
                    Event::Connect(client) => {
                        room.admit(client.id());
                        room.send(client.id().into(), "welcome".into());
                    }
                    Event::Message(_, message) => {
                        room.send(Recipient::Everyone, message);
                    }
                    _ => {}
                }
            }
            self.0.send_modify(|log| log.push("ended".to_owned()));
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_service_is_told_to_end_when_another_one_has_the_room() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let proxy = Proxy::start(broker.port).await;
    let machine = async |url: String| {
        let log = Log::default();
        Machine::running(Polite(log.clone()), &url, options(), |rooms| rooms, log).await
    };
    let a = machine(broker.url()).await;
    let b = machine(proxy.url()).await;
    let mut ada = Person::come(&a, "x", "ada").await;
    let bob = Person::come(&b, "x", "bob").await;
    assert_eq!(b.logged("begun"), 0);
    proxy.stop_up();
    b.logs(&["begun"]).await;
    proxy.open();
    b.logs(&["ended"]).await;
    bob.waits("another greeting of a's service", |heard| {
        heard.texts.len() == 3
    })
    .await;
    ada.say("hello").await;
    bob.hears("hello").await;
    assert_eq!((a.logged("begun"), a.logged("ended")), (1, 0));
}
