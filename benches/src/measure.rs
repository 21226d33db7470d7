//! Times that can be compared on a machine which others use too. What counts is the time that this thread computes. Every
//! library has its turn in every round; a turn is cut into slices, of which the fastest counts, and of the rounds the
//! median does.

use std::time::Duration;

use crate::library::Job;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// One sample of one job.
    pub sample: Duration,
    pub rounds: usize,
}

impl Effort {
    /// So that measuring this many jobs takes about `total`.
    pub fn within(total: Duration, jobs: usize) -> Self {
        let rounds = 7;
        // Finding out how many messages make a sample takes about as long as two.
        let samples = (rounds + 2) * jobs.max(1);
        Self {
            sample: total / samples as u32,
            rounds,
        }
    }
}

/// How many slices a sample has.
const SLICES: u64 = 10;

/// How many messages a slice has at least. Some libraries read several of the longest ahead.
const LEAST: u64 = 8;

/// The median time of each job for one message, in nanoseconds.
pub fn compare(jobs: &mut [Option<Job>], effort: Effort) -> Vec<Option<f64>> {
    let counts: Vec<u64> = jobs
        .iter_mut()
        .map(|job| {
            job.as_mut()
                .map_or(0, |job| messages_for(job, effort.sample))
        })
        .collect();
    let mut samples = vec![Vec::new(); jobs.len()];
    for round in 0..effort.rounds {
        for turn in 0..jobs.len() {
            let at = (turn + round) % jobs.len();
            if let Some(job) = &mut jobs[at] {
                let slice = (counts[at] / SLICES).max(LEAST);
                let times = (0..(counts[at] / slice).max(1)).map(|_| job(slice));
                let fastest = times.min().unwrap_or_default();
                samples[at].push(fastest.as_secs_f64() * 1e9 / slice as f64);
            }
        }
    }
    samples.into_iter().map(median).collect()
}

/// How many messages take that long.
fn messages_for(job: &mut Job, sample: Duration) -> u64 {
    let mut n = 4;
    loop {
        let time = job(n);
        if time * 2 >= sample {
            let scale = sample.as_secs_f64() / time.as_secs_f64().max(1e-9);
            return ((n as f64 * scale) as u64).max(1);
        }
        n *= 2;
    }
}

/// The value in the middle; `None` if there is none.
pub fn median(samples: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut samples: Vec<f64> = samples.into_iter().collect();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied()
}
