//! The end of a write: the locks are released, and only then backups are compressed, so that
//! nobody waits for that.

use crate::engine::warning::Warning;
use crate::engine::write::WriteOptions;
use crate::files::backup::compression;
use crate::files::backup::index::{self, BackupQuery};
use crate::files::identity::Identity;
use crate::files::locked::LockedFile;
use crate::settings::Durability;

/// Releases all locks, and only then compresses the backups of each file.
#[must_use]
pub(crate) fn close_all(files: Vec<LockedFile>, options: &WriteOptions) -> Vec<Vec<Warning>> {
    let mut warnings: Vec<Vec<Warning>> = files.iter().map(|_| Vec::new()).collect();
    let Some(above) = options.compressed_above else { return warnings };
    let asked = files.iter().map(|file| {
        let live = file.target.stat().ok().flatten().as_ref().map(Identity::of);
        BackupQuery { locked: file, live, needed: true }
    });
    let known = index::known_each(&asked.collect::<Vec<_>>());
    let (targets, locks): (Vec<_>, Vec<_>) =
        files.into_iter().map(|LockedFile { target, lock }| (target, lock)).unzip();
    let backups = known.into_iter().zip(&mut warnings).map(|(known, warnings)| {
        known.map_or_else(
            |error| {
                warnings.push(error.into());
                Vec::new()
            },
            |known| known.all,
        )
    });
    let backups: Vec<_> = backups.collect();
    let begun = targets.iter().zip(&backups);
    let begun = begun.map(|(target, backups)| compression::begin(target, backups, above));
    let begun: Vec<_> = begun.collect();
    drop(locks);
    let sync = options.durability == Durability::Full;
    for ((begun, mut failures), warnings) in begun.into_iter().zip(&mut warnings) {
        failures.extend(begun.into_iter().filter_map(|begun| begun.finish(sync).err()));
        warnings.extend(failures.into_iter().map(Warning::from));
    }
    warnings
}
