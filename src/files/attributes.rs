//! What a new file takes over from the file that it replaces: owner, group, mode, access
//! list and extended attributes.
//!
//! What the kernel does not let the new file have becomes a warning: a save that a plain
//! `open` could make is not refused for it. But nobody gets a right that they did not have.

use std::fs::File;
use std::io;

use rustix::fs::{self, Mode, Stat};
use rustix::io::Errno;
use rustix::process::{Uid, geteuid};

use crate::engine::warning::Warning;
use crate::error::{Error, KEEP_OWNER, Result};
use crate::files::sys::access_list::{self, AccessList, Given};
use crate::files::sys::xattr;
use crate::files::target::Target;

/// Attributes that the kernel writes itself, or that sign the old content: a copy would be
/// refused, or wrong.
const XATTRS_OF_THE_CONTENT: [&str; 2] = ["security.ima", "security.evm"];

const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;

/// What a new file could not be given.
#[derive(Debug, Default)]
pub(crate) struct Adopted {
    /// For the log.
    pub(crate) warnings: Vec<Warning>,
    /// Why the new file does not have the old file's owner.
    pub(crate) owner: Option<Errno>,
    /// Why the new file does not have the old file's group.
    group: Option<Errno>,
}

/// Gives `new`, which nobody but its owner may use yet, what `old` has, whose `stat` is
/// `like`.
///
/// # Errors
///
/// When a syscall fails for another reason than a refusal, and where the owner of the old
/// file would lose rights to the file.
pub(crate) fn adopt(target: &Target, new: &File, like: &Stat, old: &File) -> Result<Adopted> {
    let made = fs::fstat(new).map_err(|errno| target.failed("fstat", errno))?;
    let mut adopted = adopt_owner(target, new, &made, like)?;
    // Who may give files away, and change no file of another (CAP_CHOWN without CAP_FOWNER),
    // gives the file away at the end.
    // safeguard: given-away-last
    let given_away_last = if made.st_uid == like.st_uid { None } else { take_back(new) };
    let list = adopt_xattrs(target, new, old, &mut adopted)?;
    let bits = adopt_access(target, new, like, list, &mut adopted)?;
    // Last: a change of owner clears set-id bits, a list sets group bits.
    let mut special = like.st_mode & 0o7000;
    if adopted.owner.is_some() {
        // safeguard: no-set-user-id
        special &= !SET_USER_ID;
    }
    if adopted.group.is_some() {
        // safeguard: no-set-group-id
        special &= !SET_GROUP_ID;
    }
    adopt_mode(target, new, bits | special, &mut adopted)?;
    if let Some(owner) = given_away_last {
        fs::fchown(new, Some(owner), None).map_err(|errno| target.failed(KEEP_OWNER, errno))?;
    }
    Ok(adopted)
}

/// Makes this user the owner of a file again, if the file was given to a user whose files
/// this user may not change. Returns that user.
fn take_back(new: &File) -> Option<Uid> {
    let stat = fs::fstat(new).ok()?;
    let (owner, user) = (Uid::from_raw(stat.st_uid), geteuid());
    let may_change = || fs::fchmod(new, Mode::from_raw_mode(stat.st_mode & 0o7777)).is_ok();
    if owner == user || may_change() {
        return None;
    }
    fs::fchown(new, Some(user), None).is_ok().then_some(owner)
}

fn adopt_owner(target: &Target, new: &File, made: &Stat, like: &Stat) -> Result<Adopted> {
    let failed = |call, errno: Errno| target.failed(call, errno);
    let owner = (made.st_uid != like.st_uid).then_some(like.st_uid);
    let group = (made.st_gid != like.st_gid).then_some(like.st_gid);
    let Given { owner, group } = access_list::give(new, owner, group);
    for errno in [owner, group].into_iter().flatten() {
        if !is_refusal(errno) {
            return Err(failed("fchown (to keep the file's owner and group)", errno));
        }
    }
    let mut adopted = Adopted { owner, group, warnings: Vec::new() };
    match (owner, group) {
        // Neither owner nor group would tell any more whose file it is.
        (Some(errno), Some(_)) => return Err(owner_is_lost(target, like, errno)),
        (Some(errno), None) => {
            let now = format!("it belongs to uid {} now, who saved it", made.st_uid);
            adopted.warn(format!("its owner, uid {},", like.st_uid), errno, now);
        }
        (None, Some(errno)) => {
            let now = format!(
                "its group is {} now; to give it back, chgrp it as root, or save it as a member \
                 of that group",
                made.st_gid
            );
            adopted.warn(format!("its group, gid {},", like.st_gid), errno, now);
        }
        (None, None) => {}
    }
    Ok(adopted)
}

/// Lets everybody use the new file who may use the old file, whose access list has the value
/// `list`. Returns the nine bits of the mode that is yet to be set.
fn adopt_access(
    target: &Target,
    new: &File,
    like: &Stat,
    list: Option<Vec<u8>>,
    adopted: &mut Adopted,
) -> Result<u32> {
    // safeguard: owner-not-locked-out
    let owner = adopted.owner.map(|_| like.st_uid);
    // safeguard: group-bits
    let group = adopted.group.map(|_| like.st_gid);
    let had_list = list.is_some();
    let (wanted, bits) = if owner.is_some() || group.is_some() {
        let wanted = parsed(list.as_deref(), like).in_other_hands(owner, group);
        ((!wanted.is_mode()).then(|| wanted.value()), wanted.mode())
    } else {
        (list, like.st_mode & 0o777)
    };
    // safeguard: inherited-access-list
    let Some(wanted) = wanted else { return disinherit(target, new).map(|()| bits) };
    match access_list::write(new, access_list::ACCESS, Some(&wanted)) {
        Ok(()) => Ok(bits),
        Err(errno) if is_refusal(errno) => {
            // Without the list the old owner would be kept out.
            if let Some(errno) = adopted.owner {
                return Err(owner_is_lost(target, like, errno));
            }
            disinherit(target, new)?;
            let bits = parsed(Some(&wanted), like).without_names().mode();
            let what = if had_list { "its access list" } else { "what its group may do" };
            let now =
                format!("its mode is {bits:04o} now, by which nobody may do more than before");
            adopted.warn(what.to_owned(), errno, now);
            Ok(bits)
        }
        Err(errno) => Err(target.failed("setxattr (to keep the file's access list)", errno)),
    }
}

/// The error of a save that cannot keep the file's owner.
pub(crate) fn owner_is_lost(target: &Target, like: &Stat, errno: Errno) -> Error {
    let hint = format!(
        "; it belongs to uid {}: save as that user or as root, or give the file to this user",
        like.st_uid
    );
    Error::Syscall { path: target.given_path.clone(), call: KEEP_OWNER, source: errno.into(), hint }
}

impl Adopted {
    fn warn(&mut self, what: String, cause: impl Into<io::Error>, instead: String) {
        self.warnings.push(Warning::NotKept { what, cause: cause.into(), instead });
    }
}

fn parsed(list: Option<&[u8]>, like: &Stat) -> AccessList {
    // A list that cannot be read leaves the file to its owner.
    let of_owner = || AccessList::of_mode(like.st_mode & 0o700);
    list.map_or_else(
        || AccessList::of_mode(like.st_mode),
        |list| AccessList::parse(list).unwrap_or_else(of_owner),
    )
}

/// Takes away the access list that the file got from the folder it was made in.
fn disinherit(target: &Target, new: &File) -> Result<()> {
    let failed = |call, errno: Errno| target.failed(call, errno);
    let inherited = access_list::read(new, access_list::ACCESS)
        .map_err(|errno| failed("fgetxattr (of the inherited access list)", errno))?;
    if inherited.is_none() {
        return Ok(());
    }
    access_list::write(new, access_list::ACCESS, None)
        .map_err(|errno| failed("removexattr (of the inherited access list)", errno))
}

fn adopt_mode(target: &Target, new: &File, mode: u32, adopted: &mut Adopted) -> Result<()> {
    let failed = |errno: Errno| target.failed("fchmod (to keep the file's mode)", errno);
    // safeguard: mode-kept
    let Err(refused) = fs::fchmod(new, Mode::from_raw_mode(mode)) else { return Ok(()) };
    if !is_refusal(refused) {
        return Err(failed(refused));
    }
    // A filter may refuse set-id bits alone. Where the rest is refused too, the file has the
    // mode it was made with, which allows less.
    let plain = mode & !(SET_USER_ID | SET_GROUP_ID);
    if plain != mode {
        let _ = fs::fchmod(new, Mode::from_raw_mode(plain));
    }
    let now = fs::fstat(new).map_err(failed)?.st_mode & 0o7777;
    adopted.warn(format!("its mode {mode:04o}"), refused, format!("it is {now:04o} now"));
    Ok(())
}

/// Copies the extended attributes except the access list, whose value is returned.
fn adopt_xattrs(
    target: &Target,
    new: &File,
    old: &File,
    adopted: &mut Adopted,
) -> Result<Option<Vec<u8>>> {
    let names = match xattr::names(old) {
        Err(Errno::OPNOTSUPP) => return Ok(None),
        names => names.map_err(|errno| target.failed("flistxattr", errno))?,
    };
    let mut list = None;
    for name in names {
        if XATTRS_OF_THE_CONTENT.iter().any(|of_content| name == *of_content) {
            continue;
        }
        if name == access_list::ACCESS {
            list = xattr::read(old, &name).map_err(|errno| target.failed("fgetxattr", errno))?;
            continue;
        }
        let copied = xattr::read(old, &name).and_then(|value| match value {
            Some(value) if xattr::read(new, &name)?.as_ref() != Some(&value) => {
                xattr::write(new, &name, Some(&value))
            }
            _ => Ok(()),
        });
        match copied {
            Ok(()) => {}
            // safeguard: refused-attribute
            Err(errno) if is_refusal(errno) => {
                let what = format!("its attribute {}", name.display());
                adopted.warn(what, errno, "it has none of that name now".to_owned());
            }
            Err(errno) => {
                let call = "setxattr (to keep the file's attributes)";
                return Err(target.failed(call, errno));
            }
        }
    }
    Ok(list)
}

/// Whether an error says that the kernel does not let this process do this in this place:
/// unlike the error of a full disk, say.
fn is_refusal(errno: Errno) -> bool {
    // EINVAL or EOVERFLOW for an id that the user namespace or the mount has no number for;
    // the others come from rights, policies and filters of syscalls.
    [Errno::PERM, Errno::ACCESS, Errno::INVAL, Errno::OVERFLOW, Errno::OPNOTSUPP, Errno::NOSYS]
        .contains(&errno)
}
