//! How rooms begin and end across machines, and what becomes of them when their service fails.

use std::time::{Duration, Instant};

use we_rooms::OnFailure;
use we_rooms::cluster::ClusterOptions;

use crate::broker::Broker;
use crate::machine::{Machine, Person, options, until};

#[tokio::test]
async fn a_room_with_clients_elsewhere_is_not_empty() {
    const GRACE: Duration = Duration::from_millis(200);
    let Some(broker) = Broker::start() else {
        return;
    };
    let a = Machine::with("a", &broker.url(), options(), |rooms| rooms.grace(GRACE)).await;
    let b = Machine::with("b", &broker.url(), options(), |rooms| rooms.grace(GRACE)).await;
    let ada = Person::come(&a, "x", "ada").await;
    let mut bob = Person::come(&b, "x", "bob").await;
    drop(ada);
    a.logs(&["disconnect ada"]).await;
    // Much longer than the grace time: still the same service counts.
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < GRACE * 5 {
        count += 1;
        bob.say("count").await;
        bob.hears(&format!("count {count}")).await;
    }
    assert_eq!(a.rooms.list().len(), 1);
    drop(bob);
    until("both have forgotten the room", || {
        a.rooms.list().is_empty() && b.rooms.list().is_empty()
    })
    .await;
    // The lease has been let go of: who comes next does not wait for it to run out.
    let keys = || broker.command(&[b"KEYS", b"we:1:lease:*"]).unwrap();
    until("there is no lease", || keys().starts_with("*0")).await;
    let mut eve = Person::come(&b, "x", "eve").await;
    eve.say("count").await;
    eve.hears("count 1").await;
}

#[tokio::test]
async fn a_lease_is_renewed_as_long_as_its_owner_lives() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let a = Machine::start("a", &broker.url()).await;
    let b = Machine::start("b", &broker.url()).await;
    let _ada = Person::come(&a, "x", "ada").await;
    let mut bob = Person::come(&b, "x", "bob").await;
    let began = Instant::now();
    let mut count = 0;
    // Longer than the lease of 3 s.
    while began.elapsed() < Duration::from_millis(4500) {
        count += 1;
        bob.say("count").await;
        bob.hears(&format!("count {count}")).await;
    }
    assert_eq!((a.logged("connect bob"), b.logged("init")), (1, 0));
}

#[tokio::test]
async fn who_leaves_has_others_take_over_at_once() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let patient = || ClusterOptions::default().lease(Duration::from_secs(120));
    let a = Machine::with("a", &broker.url(), patient(), |rooms| rooms).await;
    let b = Machine::with("b", &broker.url(), patient(), |rooms| rooms).await;
    let mut ada = Person::come(&a, "x", "ada").await;
    let mut bob = Person::come(&b, "x", "bob").await;
    a.cluster.leave().await;
    b.logs(&["init", "connect bob"]).await;
    bob.say("tag here").await;
    bob.hears("here|b").await;
    // Who is there still is served, too.
    ada.say("tag there").await;
    ada.hears("there|a").await;
    assert!(ada.is_connected() && bob.is_connected());
}

#[tokio::test]
async fn a_service_that_fails_begins_again_for_clients_everywhere() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let keep = |rooms: we_rooms::RoomsBuilder| {
        rooms
            .on_failure(OnFailure::KeepClients)
            .on_problem(|_, _| {})
    };
    let a = Machine::with("a", &broker.url(), options(), keep).await;
    let b = Machine::with("b", &broker.url(), options(), keep).await;
    let mut ada = Person::come(&a, "x", "ada").await;
    let mut bob = Person::come(&b, "x", "bob").await;
    bob.say("fail").await;
    for person in [&ada, &bob] {
        person
            .waits("another greeting", |heard| heard.texts.len() == 2)
            .await;
    }
    ada.say("tag one").await;
    bob.say("tag two").await;
    for person in [&ada, &bob] {
        person.hears("one|a").await;
        person.hears("two|a").await;
        assert!(person.is_connected());
    }
    assert_eq!((a.logged("init"), b.logged("init")), (2, 0));
    assert_eq!(a.logged("connect bob"), 2);
}

#[tokio::test]
async fn a_service_that_fails_closes_clients_everywhere() {
    let Some(broker) = Broker::start() else {
        return;
    };
    let quiet = |rooms: we_rooms::RoomsBuilder| rooms.on_problem(|_, _| {});
    let a = Machine::with("a", &broker.url(), options(), quiet).await;
    let b = Machine::with("b", &broker.url(), options(), quiet).await;
    let ada = Person::come(&a, "x", "ada").await;
    let mut bob = Person::come(&b, "x", "bob").await;
    bob.say("fail").await;
    for person in [&ada, &bob] {
        person
            .waits("closed", |heard| heard.closure.is_some())
            .await;
        let closure = person.listener().borrow().closure.clone().unwrap();
        assert_eq!(closure.code, 1011);
    }
    let mut eve = Person::come(&b, "x", "eve").await;
    eve.say("count").await;
    eve.hears("count 1").await;
}
