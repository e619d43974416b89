//! Which backups a write removes.

use std::time::Duration;

use chrono::{FixedOffset, TimeDelta};

use crate::files::backup::{Backup, now};

/// The backups (from a list with the oldest first) that are to be removed, because there
/// are more than `kept` or they are older than `max_age`. The newest backup is never
/// removed for its age.
#[must_use]
pub fn to_prune(
    backups: Vec<Backup>,
    kept: usize,
    max_age: Option<Duration>,
    zone: FixedOffset,
) -> Vec<Backup> {
    let count = backups.len();
    let oldest = max_age
        .and_then(|age| TimeDelta::from_std(age).ok())
        .and_then(|age| now(zone).checked_sub_signed(age));
    let goes = |(index, backup): &(usize, Backup)| {
        let too_many = index + kept < count;
        let too_old = oldest.is_some_and(|oldest| backup.stamp < oldest) && index + 1 < count;
        too_many || too_old
    };
    backups.into_iter().enumerate().filter(goes).map(|(_, backup)| backup).collect()
}
