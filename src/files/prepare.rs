//! What comes before the sync of a save: the new content is compared with the old content, and
//! written into a temporary file. The disk begins to write it at once. While it does, the save
//! does all that it can do before its sync.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{self, Stat};

use crate::engine::write::{WriteOptions, Written};
use crate::error::{OPEN_REPLACED, Result};
use crate::files::backup;
use crate::files::backup::source::BackupSource;
use crate::files::identity::Identity;
use crate::files::live::{Live, Same};
use crate::files::locked::LockedFile;
use crate::files::read::Snapshot;
use crate::files::sweep::{self, Swept};
use crate::files::temporary::Temporary;

/// What is to be done for a save.
pub(crate) enum Preparation<'a> {
    /// The file has the content already, and only has to be made durable.
    InPlace(Same),
    /// The file is to be replaced.
    Change(Box<Prepared<'a>>),
}

/// A save whose content is in a temporary file.
pub(crate) struct Prepared<'a> {
    /// The new content.
    pub(crate) temporary: Temporary<'a>,
    /// The identity of the content that was there before.
    pub(crate) before: Option<Identity>,
    /// The content to be backed up.
    pub(crate) source: Option<BackupSource>,
    /// What the write has to tell so far.
    pub(crate) written: Written,
}

impl LockedFile {
    /// Writes `bytes` into a temporary file, without a sync, unless the file has this content
    /// already. Where there is no file, the new file resembles the `model`.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; the file is as it was.
    pub(crate) fn prepare(
        &self,
        bytes: &[u8],
        model: Option<&File>,
        options: &WriteOptions,
    ) -> Result<Preparation<'_>> {
        self.require_own()?;
        let target = &self.target;
        let live = target.stat()?;
        // A corrupt file may be the only copy: it is backed up whatever the settings.
        // safeguard: corrupt-file-kept
        let corrupt = live.is_some_and(|live| self.is_corrupt(&live, options));
        let keep = options.backups_kept > 0 || corrupt;
        if keep {
            backup::require_room(target)?;
        }
        self.check_version(live.as_ref(), options.if_version.as_deref())?;
        let live = live.map(|_| Live::open(target, OPEN_REPLACED)).transpose()?.map(Arc::new);
        if options.skip_unchanged
            && let Some(live) = &live
            && u64::try_from(live.stat.st_size) == Ok(bytes.len() as u64)
            && let Some(same) = live.if_same(target, bytes)?
        {
            return Ok(Preparation::InPlace(same));
        }
        // From here to its sync, the disk is at work.
        let resembles = live.is_some() || model.is_some();
        let filled = self.fill_temporary(bytes, resembles, options);
        let own = filled.as_ref().ok().map(Temporary::name);
        // safeguard: sweep
        let Swept { mut warnings, removed } = sweep::sweep(self, own, options);
        let mut temporary = match filled {
            // The leftovers had the room that it needs.
            // safeguard: filled-after-sweep
            Err(_) if removed => self.fill_temporary(bytes, resembles, options)?,
            filled => filled?,
        };
        match (&live, model) {
            (Some(live), _) => temporary.resemble_live(live)?,
            // safeguard: restored-resembles-backup
            (None, Some(model)) => {
                let stat = fs::fstat(model).map_err(|errno| target.failed("fstat", errno))?;
                temporary.resemble(&stat, model)?;
            }
            (None, None) => {}
        }
        warnings.extend(temporary.take_warnings());
        let before = live.as_ref().map(|live| Identity::of(&live.stat));
        let source = live.filter(|_| keep).map(|live| self.backup_source(live, corrupt));
        Ok(Preparation::Change(Box::new(Prepared {
            temporary,
            before,
            source,
            written: Written {
                replaced: before.map(|before| before.key().into()),
                backup: None,
                warnings,
            },
        })))
    }

    /// Writes `bytes` into a temporary file. With `resembles`, the file is yet to be given what
    /// another file has.
    fn fill_temporary(
        &self,
        bytes: &[u8],
        resembles: bool,
        options: &WriteOptions,
    ) -> Result<Temporary<'_>> {
        let mut temporary = Temporary::create(&self.target, resembles)?;
        temporary.fill(bytes, options.durability)?;
        Ok(temporary)
    }

    /// Whether a reader was told that the file is no document, and the file still is none,
    /// whatever has been changed of it since.
    fn is_corrupt(&self, live: &Stat, options: &WriteOptions) -> bool {
        let parses = |found: &Snapshot| options.host.parses(&found.bytes);
        // safeguard: corrupt-file-read-again
        options.host.found_corrupt(Identity::of(live).key().into())
            // A file that cannot be read now counts as corrupt: it may be precious.
            && !self.read().is_ok_and(|found| found.as_ref().is_none_or(parses))
    }
}
