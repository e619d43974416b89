//! The end of a write: compressing backups begins under the locks, and is done after their
//! release, so that nobody waits for that.

use crate::engine::warning::Warning;
use crate::engine::write::WriteOptions;
use crate::files::backup::Backup;
use crate::files::backup::compression::{self, Begun};
use crate::files::backup::index::{self, BackupQuery};
use crate::files::identity::Identity;
use crate::files::locked::LockedFile;
use crate::settings::Durability;

/// The compressions that have begun for some files.
pub(crate) struct Compressions<'a> {
    /// For each file, in their order.
    of_each: Vec<(Vec<Begun<'a>>, Vec<Warning>)>,
}

/// Begins to compress the backups of each file, except the `outdated`, which are about to be
/// removed. To be called under the locks of the files.
#[must_use]
pub(crate) fn begin<'a>(
    files: &'a [LockedFile],
    outdated: &[Backup],
    options: &WriteOptions,
) -> Compressions<'a> {
    let Some(above) = options.compressed_above else {
        return Compressions { of_each: files.iter().map(|_| Default::default()).collect() };
    };
    let asked = files.iter().map(|file| {
        let live = file.target.stat().ok().flatten().as_ref().map(Identity::of);
        BackupQuery { locked: file, live, needed: true }
    });
    let known = index::known_each(&asked.collect::<Vec<_>>());
    let of_each = files.iter().zip(known).map(|(file, known)| match known {
        Ok(known) => {
            let stay = known.all.into_iter().filter(|backup| !outdated.contains(backup));
            let (begun, failures) = compression::begin(&file.target, stay, above);
            (begun, failures.into_iter().map(Warning::from).collect())
        }
        Err(error) => (Vec::new(), vec![error.into()]),
    });
    Compressions { of_each: of_each.collect() }
}

impl Compressions<'_> {
    /// Compresses, without the locks of the files. Returns for each file what went wrong.
    #[must_use]
    pub(crate) fn finish(self, options: &WriteOptions) -> Vec<Vec<Warning>> {
        let sync = options.durability == Durability::Full;
        let finished = self.of_each.into_iter().map(|(begun, mut warnings)| {
            let failures = begun.into_iter().filter_map(|begun| begun.finish(sync).err());
            warnings.extend(failures.map(Warning::from));
            warnings
        });
        finished.collect()
    }
}
