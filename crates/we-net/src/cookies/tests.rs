#![allow(clippy::unwrap_used)]
use super::memory::{MAX_BYTES, MAX_COOKIES, MAX_OF_HOST};
use super::*;

fn set(jar: &MemoryJar, url: &str, value: &[u8]) {
    set_from(jar, url, None, value);
}

fn set_from(jar: &MemoryJar, url: &str, origin: Option<&str>, value: &[u8]) {
    let url = Url::parse(url).unwrap();
    let context = CookieContext { url: &url, origin };
    jar.set_cookies(&context, &mut [value].into_iter());
}

fn get(jar: &MemoryJar, url: &str, origin: Option<&str>) -> String {
    let url = Url::parse(url).unwrap();
    let cookies = jar.cookies(&CookieContext { url: &url, origin });
    String::from_utf8(cookies.unwrap_or_default()).unwrap()
}

#[test]
fn cookies_go_where_they_came_from() {
    let jar = MemoryJar::new();
    for cookie in [
        "a=1; HttpOnly",
        "b=2; Secure",
        "c=3; Path=/deep",
        "d=4; Domain=example",
        "e=5; Domain=a.example",
        "f=6; Max-Age=0",
        "g=7; Domain=other.example",
    ] {
        set(&jar, "wss://a.example/x", cookie.as_bytes());
    }
    for (url, expected) in [
        ("wss://a.example/", "a b d e g"),
        ("ws://a.example:81/", "a d e g"),
        ("wss://a.example/deep/er", "a b c d e g"),
        ("wss://b.a.example/", ""),
        ("wss://other.example/", ""),
        ("wss://example/", ""),
    ] {
        let header = get(&jar, url, None);
        let mut names: Vec<&str> = header
            .split("; ")
            .filter_map(|cookie| Some(cookie.split_once('=')?.0))
            .collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), expected, "{url}: {header}");
    }
}

#[test]
fn other_sites_get_only_what_is_for_them() {
    let jar = MemoryJar::new();
    let url = "wss://a.example/";
    for cookie in ["a=1", "b=2; SameSite=Lax", "c=3; SameSite=None; Secure"] {
        set(&jar, url, cookie.as_bytes());
    }
    let own = get(&jar, url, Some("https://a.example"));
    assert_eq!(own.split("; ").count(), 3, "{own}");
    for origin in ["https://b.example", "null"] {
        assert_eq!(get(&jar, url, Some(origin)), "c=3", "{origin}");
    }
}

#[test]
fn what_is_too_much_or_malformed_is_not_taken() {
    let jar = MemoryJar::new();
    let url = "ws://a.example/";
    set(&jar, url, &[b"x=".as_slice(), &[b'y'; MAX_BYTES]].concat());
    for value in [
        &b""[..],
        b"=",
        b"\xff=1",
        b";;;",
        b"a",
        b"a\x00b=1;Expires=\xc3\xa4",
    ] {
        set(&jar, url, value);
    }
    let before = get(&jar, url, None);
    assert!(
        !before.contains('x') && !before.contains('\u{fffd}'),
        "{before:?}"
    );
    let jar = MemoryJar::new();
    for number in 0..=MAX_OF_HOST {
        set(&jar, url, format!("n{number}=1").as_bytes());
    }
    assert_eq!(get(&jar, url, None).split("; ").count(), MAX_OF_HOST);
    // A new value for a cookie that is there.
    set(&jar, url, b"n0=2");
    assert!(get(&jar, url, None).contains("n0=2"));
}

#[test]
fn paths_count_and_the_oldest_make_room() {
    let jar = MemoryJar::new();
    let url = "wss://a.example/";
    set(&jar, url, b"keep=1; Secure");
    for number in 0..3 * MAX_OF_HOST {
        set(&jar, url, format!("n=1; Path=/{number}").as_bytes());
    }
    assert_eq!(jar.len(), MAX_OF_HOST);
    assert_eq!(get(&jar, "wss://a.example/0", None), "keep=1");
    let last = format!("wss://a.example/{}", 3 * MAX_OF_HOST - 1);
    assert_eq!(get(&jar, &last, None), "n=1; keep=1");
    // A new value takes no room, and what it replaces keeps its age.
    set(&jar, &last, b"keep=2; Path=/; Secure");
    assert_eq!(
        (jar.len(), &*get(&jar, &last, None)),
        (MAX_OF_HOST, "n=1; keep=2")
    );
}

#[test]
fn the_host_with_the_most_makes_room_for_others() {
    let jar = MemoryJar::new();
    for number in 0..MAX_OF_HOST {
        set(
            &jar,
            "ws://greedy.example/",
            format!("n{number}=1").as_bytes(),
        );
    }
    let others = MAX_COOKIES - 1;
    for number in 0..others {
        set(&jar, &format!("ws://h{number}.example/"), b"a=1");
    }
    assert_eq!(jar.len(), MAX_COOKIES);
    let newest = format!("n{}=1", MAX_OF_HOST - 1);
    assert_eq!(get(&jar, "ws://greedy.example/", None), newest);
    for number in [0, others - 1] {
        let url = format!("ws://h{number}.example/");
        assert_eq!(get(&jar, &url, None), "a=1");
    }
    // Among equals the oldest goes, not the newest.
    for host in ["new", "newer"] {
        set(&jar, &format!("ws://{host}.example/"), b"a=1");
    }
    assert_eq!(jar.len(), MAX_COOKIES);
    for (host, expected) in [("greedy", ""), ("h0", ""), ("h1", "a=1"), ("new", "a=1")] {
        let url = format!("ws://{host}.example/");
        assert_eq!(get(&jar, &url, None), expected, "{host}");
    }
}

#[test]
fn the_expired_make_room_first() {
    let jar = MemoryJar::new();
    let url = "ws://a.example/";
    for number in 0..MAX_OF_HOST {
        let cookie = format!("old=1; Max-Age=1000; Path=/{number}");
        set(&jar, url, cookie.as_bytes());
    }
    set(&jar, "ws://b.example/", b"old=1; Max-Age=1000");
    jar.expire_all();
    assert_eq!(get(&jar, "ws://a.example/7", None), "");
    set(&jar, url, b"new=1");
    assert_eq!(jar.len(), 1);
    // What is set as expired only takes away.
    set(&jar, url, b"other=1; Expires=Thu, 01 Jan 1970 00:00:01 GMT");
    assert_eq!((jar.len(), &*get(&jar, url, None)), (1, "new=1"));
    set(&jar, url, b"new=2; Expires=Thu, 01 Jan 1970 00:00:01 GMT");
    assert_eq!(jar.len(), 0);
}

#[test]
fn plain_connections_leave_secure_cookies_alone() {
    let jar = MemoryJar::new();
    let (plain, secure) = ("ws://a.example/login/x", "wss://a.example/login/x");
    set(&jar, secure, b"id=1; Secure; Path=/login");
    for cookie in [
        "id=2",
        "id=2; Path=/login",
        "id=2; Path=/login/x",
        "id=; Max-Age=0; Path=/login",
        "s=2; Secure",
    ] {
        set(&jar, plain, cookie.as_bytes());
        assert_eq!(get(&jar, secure, None), "id=1", "{cookie}");
    }
    assert_eq!(get(&jar, plain, None), "");
    // A shorter path shadows nothing.
    set(&jar, plain, b"id=3; Path=/");
    assert_eq!(get(&jar, secure, None), "id=1; id=3");
    // Nor do they crowd them out.
    for number in 0..2 * MAX_OF_HOST {
        set(&jar, plain, format!("n{number}=1").as_bytes());
    }
    assert!(get(&jar, secure, None).contains("id=1"));
    // Not even on this machine.
    set(&jar, "ws://localhost/", b"a=1; Secure");
    set(&jar, "wss://localhost/", b"b=1; Secure");
    assert_eq!(get(&jar, "ws://localhost/", None), "");
    assert_eq!(get(&jar, "wss://localhost/", None), "b=1");
}

#[test]
fn prefixes_mean_what_they_say() {
    for (url, cookie, kept) in [
        ("wss", "__Secure-a=1; Secure", true),
        ("wss", "__Secure-a=1", false),
        ("ws", "__Secure-a=1; Secure", false),
        ("ws", "__sEcUrE-a=1", false),
        ("wss", "__Host-a=1; Secure; Path=/", true),
        ("wss", "__Host-a=1; Secure", false),
        ("wss", "__Host-a=1; Secure; Path=/x", false),
        ("wss", "__Host-a=1; Path=/", false),
        ("wss", "__host-a=1; Secure; Path=/; Domain=a.example", false),
        ("ws", "__Host-a=1; Path=/", false),
        ("ws", "a=1; SameSite=None", false),
        ("wss", "a=1; SameSite=None", false),
        ("wss", "a=1; SameSite=None; Secure", true),
    ] {
        let jar = MemoryJar::new();
        set(&jar, &format!("{url}://a.example/"), cookie.as_bytes());
        assert_eq!(jar.len() == 1, kept, "{url}: {cookie}");
    }
}

#[test]
fn a_site_is_host_and_scheme() {
    for (url, origin, same) in [
        ("ws://a.example/", "http://a.example", true),
        ("ws://a.example:81/", "http://a.example:82", true),
        ("wss://a.example/", "https://a.example", true),
        ("wss://a.example/", "http://a.example", false),
        ("ws://a.example/", "https://a.example", false),
        ("wss://a.example/", "https://b.example", false),
        ("wss://a.example/", "null", false),
    ] {
        let jar = MemoryJar::new();
        for cookie in ["a=1", "b=1; SameSite=Lax", "c=1; SameSite=Strict"] {
            set_from(&jar, url, Some(origin), cookie.as_bytes());
        }
        assert_eq!(jar.len(), if same { 3 } else { 0 }, "{origin} to {url}");
        set(&jar, url, b"d=1");
        let header = get(&jar, url, Some(origin));
        assert_eq!(header.contains("d=1"), same, "{origin} to {url}");
    }
    let jar = MemoryJar::new();
    let origin = Some("https://b.example");
    set_from(
        &jar,
        "wss://a.example/",
        origin,
        b"a=1; SameSite=None; Secure",
    );
    assert_eq!(get(&jar, "wss://a.example/", origin), "a=1");
}

#[test]
fn longer_paths_come_first_and_then_older_cookies() {
    let jar = MemoryJar::new();
    let url = "ws://a.example/x/y/z";
    for cookie in [
        "a=1; Path=/",
        "b=1; Path=/x/y",
        "c=1; Path=/x",
        "d=1; Path=/x/y",
        "a=2; Path=/",
    ] {
        set(&jar, url, cookie.as_bytes());
    }
    assert_eq!(get(&jar, url, None), "b=1; d=1; c=1; a=2");
    assert_eq!(get(&jar, "ws://a.example/xy", None), "a=2");
}
