//! What dead writers left beside a file.

use crate::engine::warning::Warning;
use crate::engine::write::WriteOptions;
use crate::files::locked::LockedFile;
use crate::files::temporary::{self, Leftover};

/// Removes the temporary files that dead writers left. Where the file is no document they
/// stay: one of them may be the only good copy.
pub(crate) fn sweep(locked: &LockedFile, options: &WriteOptions) -> Vec<Warning> {
    let (leftovers, failures) = temporary::leftovers(&locked.target);
    let mut warnings: Vec<Warning> = failures.into_iter().map(Warning::from).collect();
    if leftovers.is_empty() {
        return warnings;
    }
    let parses = match locked.read() {
        // safeguard: no-sweep-beside-corrupt-file
        Ok(found) => found.is_none_or(|found| options.host.parses(&found.bytes)),
        Err(error) => {
            warnings.push(error.into());
            false
        }
    };
    if parses {
        let failed = |leftover: &Leftover| leftover.remove(&locked.target).err();
        warnings.extend(leftovers.iter().filter_map(failed).map(Warning::from));
    } else {
        let names = leftovers.into_iter().map(|leftover| leftover.name).collect();
        warnings.push(Warning::LeftoversKept { names });
    }
    warnings
}
