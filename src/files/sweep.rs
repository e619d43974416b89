//! What dead writers left beside a file.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags};
use rustix::io::Errno;

use crate::engine::warning::Warning;
use crate::engine::write::WriteOptions;
use crate::error::{Error, Result};
use crate::files::layout;
use crate::files::locked::LockedFile;
use crate::files::sys::lock;
use crate::files::target::Target;
use crate::statistics::COUNTERS;

/// What a sweep did.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// For the log.
    pub(crate) warnings: Vec<Warning>,
    /// Whether anything was removed, so that there is more room on the disk.
    pub(crate) removed: bool,
}

/// Removes the temporary files that dead writers left; `own` is the caller's. Where the file is
/// no document they stay: one of them may be the only good copy.
pub(crate) fn sweep(locked: &LockedFile, own: Option<&Path>, options: &WriteOptions) -> Swept {
    let (leftovers, failures) = leftovers(&locked.target, own);
    let mut warnings: Vec<Warning> = failures.into_iter().map(Warning::from).collect();
    if leftovers.is_empty() {
        return Swept { warnings, removed: false };
    }
    let parses = match locked.read() {
        // safeguard: no-sweep-beside-corrupt-file
        Ok(found) => found.is_none_or(|found| options.host.parses(&found.bytes)),
        Err(error) => {
            warnings.push(error.into());
            false
        }
    };
    let mut removed = false;
    if parses {
        for leftover in &leftovers {
            match leftover.remove(&locked.target) {
                Ok(()) => removed = true,
                Err(error) => warnings.push(error.into()),
            }
        }
    } else {
        let names = leftovers.into_iter().map(|leftover| leftover.name).collect();
        warnings.push(Warning::LeftoversKept { names });
    }
    Swept { warnings, removed }
}

/// A temporary file of a dead writer, locked so that no other process removes it.
#[derive(Debug)]
struct Leftover {
    /// The name of the file, as seen from the data file's folder.
    name: PathBuf,
    /// Nothing where the file is another user's.
    _lock: Option<File>,
}

impl Leftover {
    /// Removes the file.
    fn remove(&self, target: &Target) -> Result<()> {
        let unlink = |name: &Path| match fs::unlinkat(&target.folder, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            // Its writer was alive, and has renamed it.
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(target.failed("unlink of a leftover", errno)),
        };
        // In this order: the copy beside the data is found by the name of the leftover only.
        // safeguard: copy-beside-sweep
        unlink(&layout::copy_beside_data(&self.name))?;
        if unlink(&self.name)? {
            COUNTERS.leftovers_swept.count();
        }
        Ok(())
    }
}

/// The temporary files that dead writers of `target` left, and errors of the search, which
/// are for the log: they stop no save. `own` is not looked at. To be called under the target's
/// lock.
fn leftovers(target: &Target, own: Option<&Path>) -> (Vec<Leftover>, Vec<Error>) {
    let stem = layout::stem(&target.name);
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    let listed = target.list(layout::TEMP, |name, _| {
        layout::is_temporary_of(name, stem.as_os_str()).then(|| layout::in_temp(Path::new(name)))
    });
    let names = match listed {
        Ok(names) => names,
        Err(Errno::NOENT) => Vec::new(),
        Err(errno) => {
            failures.push(target.failed("getdents of .oasis_data/temp", errno));
            Vec::new()
        }
    };
    for name in names.into_iter().filter(|name| Some(name.as_path()) != own) {
        match if_dead(target, name) {
            Ok(leftover) => found.extend(leftover),
            Err(error) => failures.push(error),
        }
    }
    (found, failures)
}

fn if_dead(target: &Target, name: PathBuf) -> Result<Option<Leftover>> {
    let file = match target.open_to_read(&name) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        // Another user's. Nobody else can be saving the file, whose lock is held.
        Err(Errno::ACCESS) => return Ok(Some(Leftover { name, _lock: None })),
        Err(errno) => return Err(target.failed("open of a leftover", errno)),
    };
    // safeguard: sweep-spares-the-living
    if lock::try_exclusive(&file).is_err() {
        return Ok(None);
    }
    Ok(Some(Leftover { name, _lock: Some(file) }))
}
