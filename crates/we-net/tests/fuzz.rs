//! The fuzz targets of `fuzz/` as plain tests: each over its seeds, and over a bounded number of
//! their mutations, the same in every run. `make fuzz` goes on from there.
//!
//! An input that fails is written to a file, and the command that tries it again is printed. More
//! mutations: `FUZZ_RUNS=1000000 cargo test -p we-net --test fuzz`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "simulation/random.rs"]
#[allow(dead_code)]
mod random;
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use crate::random::Random;
use crate::targets::{TARGETS, Target};

/// Mutations of each target's seeds in a run without wishes of its own.
const RUNS: usize = 50_000;

/// An input grows no longer.
const MAX_LEN: usize = 4096;

fn seeds_of(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let folder = std::fs::read_dir(root.join(target)).expect("a folder of seeds");
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Does what fuzzers do to an input: flips, puts in, takes out, doubles, joins.
fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len() + 1);
        let to = (at + 1 + random.below(16)).min(input.len());
        match random.below(8) {
            0 | 1 if at < input.len() => input[at] ^= 1 << random.below(8),
            2 if at < input.len() => {
                input[at] = random.pick(&[0, 1, 125, 126, 127, 128, 254, 255, b'\r', b'\n', b'"']);
            }
            3 => input.insert(at, random.below(256) as u8),
            4 => drop(input.drain(at..to)),
            5 => {
                let piece = input[at..to].to_vec();
                input.splice(at..at, piece);
            }
            6 => {
                let other = &seeds[random.below(seeds.len())];
                let start = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[start..]);
            }
            _ => input.truncate(at.max(1)),
        }
    }
    input.truncate(MAX_LEN);
    input
}

fn check(target: &Target, input: &[u8]) {
    if catch_unwind(|| (target.run)(input)).is_err() {
        let path = std::env::temp_dir().join(format!("we-fuzz-{}", target.name));
        std::fs::write(&path, input).unwrap();
        panic!(
            "{} fails with {:?}\nFUZZ_INPUT={} cargo test -p we-net --test fuzz {}",
            target.name,
            input.escape_ascii().to_string(),
            path.display(),
            target.name,
        );
    }
}

fn fuzz(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    if let Ok(path) = std::env::var("FUZZ_INPUT") {
        return (target.run)(&std::fs::read(path).unwrap());
    }
    let seeds = seeds_of(name);
    for seed in &seeds {
        check(target, seed);
    }
    let runs = std::env::var("FUZZ_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    let mut random = Random::new(1);
    for _ in 0..runs {
        check(target, &mutate(&mut random, &seeds));
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                fuzz(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_here() {
            let names = TARGETS.map(|target| target.name);
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets! { frame connection response request extensions url differential }
