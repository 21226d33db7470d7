//! The loops over every byte, by themselves: masking and the look at UTF-8.

use std::hint::black_box;

use we_net::protocol::MaskKey;

use crate::case::{Case, Kind, Role, SIZES, Task, size_name};
use crate::library::{Job, clocked};
use crate::measure::{Effort, compare};

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// One line: the same work, done by different hands.
pub struct Part {
    pub name: String,
    size: usize,
    pub jobs: Vec<(&'static str, Job)>,
}

impl Part {
    /// Measures and prints it, in GB/s.
    pub fn print(self, effort: Effort) {
        let (names, jobs): (Vec<_>, Vec<_>) = self.jobs.into_iter().unzip();
        let times = compare(&mut jobs.into_iter().map(Some).collect::<Vec<_>>(), effort);
        print!("{:<18}", self.name);
        for (name, time) in names.iter().zip(times) {
            print!(" {name} {:.1}", self.size as f64 / time.unwrap_or(f64::NAN));
        }
        println!(" GB/s");
    }
}

pub fn all() -> impl Iterator<Item = Part> {
    let masks = SIZES.map(|size| Part {
        name: format!("mask {}", size_name(size)),
        size,
        jobs: vec![
            (
                "we",
                mask(size, |data| {
                    black_box(MaskKey::new(KEY).apply(data));
                }),
            ),
            (
                "fastws",
                mask(size, |data| fastwebsockets::unmask(data, KEY)),
            ),
            ("yawc", mask(size, |data| yawc::mask::apply_mask(data, KEY))),
        ],
    });
    let kinds = [Kind::Text, Kind::Mixed].into_iter();
    let utf8 = kinds.flat_map(|kind| {
        SIZES.map(|size| Part {
            name: format!(
                "utf8 {} {}",
                if kind == Kind::Text { "ascii" } else { "mixed" },
                size_name(size)
            ),
            size,
            jobs: vec![
                (
                    "simdutf8::compat",
                    check(kind, size, |text| simdutf8::compat::from_utf8(text).is_ok()),
                ),
                (
                    "simdutf8::basic",
                    check(kind, size, |text| simdutf8::basic::from_utf8(text).is_ok()),
                ),
                (
                    "std",
                    check(kind, size, |text| std::str::from_utf8(text).is_ok()),
                ),
            ],
        })
    });
    masks.into_iter().chain(utf8)
}

fn mask(size: usize, work: fn(&mut [u8])) -> Job {
    let mut data = vec![7; size];
    Box::new(move |n| clocked(|| (0..n).for_each(|_| work(black_box(&mut data)))))
}

fn check(kind: Kind, size: usize, is_text: fn(&[u8]) -> bool) -> Job {
    let text = Case::new(Task::Encode, Role::Client, kind, size).payload;
    Box::new(move |n| clocked(|| (0..n).for_each(|_| assert!(is_text(black_box(&text))))))
}
