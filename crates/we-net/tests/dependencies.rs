//! Versions that advisories name as the first sound ones, held against Cargo.lock. A stand-in for
//! `cargo deny` where the list of advisories is out of reach; that is a step of a release.
#![allow(clippy::unwrap_used)]

/// The oldest version of each that may be in use, if it is at all.
const SOUND: [(&str, [u64; 3]); 5] = [
    ("h2", [0, 4, 16]),
    ("rustls", [0, 23, 18]),
    ("rustls-webpki", [0, 103, 13]),
    ("quinn-proto", [0, 11, 15]),
    ("tungstenite", [0, 20, 1]),
];

#[test]
fn no_dependency_is_older_than_its_last_advisory() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    let Ok(lock) = std::fs::read_to_string(path) else {
        return println!("skipped: not in the workspace");
    };
    let mut found = 0;
    for package in lock.split("[[package]]") {
        let field = |name| {
            let line = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_matches('"'))
        };
        let (Some(name), Some(version)) = (field("name = "), field("version = ")) else {
            continue;
        };
        if let Some((_, sound)) = SOUND.iter().find(|(sound, _)| *sound == name) {
            found += 1;
            let version = version.split(['-', '+']).next().unwrap();
            let parts: Vec<u64> = version
                .split('.')
                .map(|part| part.parse().unwrap())
                .collect();
            assert!(parts.as_slice() >= sound, "{name} {version}");
        }
    }
    assert!(found >= 2, "{found} of the list in Cargo.lock");
}
