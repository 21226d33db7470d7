//! [`ExternalBytes`]: when the bytes that objects hold outside the collector's sight are a reason to collect garbage.

use std::cell::Cell;
use std::time::Instant;

/// Collections for this reason take no more than one part in so many of the time ...
const SHARE_OF_TIME: u32 = 10;

/// ... unless so many times the bytes have come that are otherwise a reason to collect.
const PATIENCE: usize = 16;

/// What has been handed out since the last collection for its sake.
#[derive(Debug, Default)]
pub(super) struct ExternalBytes {
    bytes: Cell<usize>,
    /// Before this it takes more bytes than otherwise.
    rest_until: Cell<Option<Instant>>,
}

impl ExternalBytes {
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_add(bytes));
    }

    /// Whether it is worth a look at the clock.
    pub(super) fn may_be_due(&self, step: usize) -> bool {
        self.bytes.get() >= step
    }

    /// Whether to collect now.
    pub(super) fn is_due(&self, step: usize, now: Instant) -> bool {
        let rests = self.rest_until.get().is_some_and(|until| now < until);
        let enough = if rests {
            step.saturating_mul(PATIENCE)
        } else {
            step
        };
        self.bytes.get() >= enough
    }

    /// Garbage has been collected for this reason.
    pub(super) fn collected(&self, start: Instant, end: Instant) {
        self.bytes.set(0);
        let rest = end.duration_since(start) * SHARE_OF_TIME;
        self.rest_until.set(end.checked_add(rest));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_collection_that_takes_long_is_put_off_but_not_for_ever() {
        let (external, step) = (ExternalBytes::default(), 1000);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        external.add(999);
        assert!(!external.may_be_due(step) && !external.is_due(step, at(0)));
        external.add(1);
        assert!(external.may_be_due(step) && external.is_due(step, at(0)));

        external.collected(at(0), at(5));
        assert!(!external.may_be_due(step));
        external.add(step);
        for (bytes, now, due) in [
            (0, 5, false),
            (0, 54, false),
            (0, 55, true),
            (14 * step, 54, false),
            (step, 54, true),
        ] {
            external.add(bytes);
            assert_eq!(external.is_due(step, at(now)), due, "{bytes} {now}");
        }
    }
}
