//! Access lists (`acl(5)`), which the kernel keeps in extended attributes: who may do what
//! with a file. And the list that gives the same rights to a file with another owner or group.

use std::os::fd::AsFd;

use rustix::fs::{self, Gid, Uid};
use rustix::io::{Errno, Result};

use crate::files::sys::xattr;

/// The attribute that says who may use a file or folder.
pub const ACCESS: &str = "system.posix_acl_access";
/// The attribute that says who may use what is made in a folder.
pub const DEFAULT: &str = "system.posix_acl_default";

const VERSION: u32 = 2;
const OWNER: u16 = 1;
const USER: u16 = 2;
const GROUP_OF_FILE: u16 = 4;
const GROUP: u16 = 8;
const MASK: u16 = 16;
const OTHER: u16 = 32;
/// The id of an entry that names nobody.
const NO_ID: u32 = u32::MAX;
const ALL: u16 = 7;

/// One entry. Sorted as the kernel wants them: by tag, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    tag: u16,
    id: u32,
    rights: u16,
}

/// Who may use a file, the bits of its mode included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList {
    entries: Vec<Entry>,
}

impl AccessList {
    /// The list of an open file of this `mode`.
    ///
    /// # Errors
    ///
    /// When its attribute cannot be read, or is none that this package knows.
    pub fn of(file: impl AsFd, mode: u32) -> Result<Self> {
        match read(file, ACCESS)? {
            None => Ok(Self::of_mode(mode)),
            Some(value) => Self::parse(&value).ok_or(Errno::INVAL),
        }
    }

    /// What the nine bits of a mode say.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "three bits fit")]
    pub fn of_mode(mode: u32) -> Self {
        let entry = |tag, rights: u32| Entry { tag, id: NO_ID, rights: (rights & 7) as u16 };
        let group = entry(GROUP_OF_FILE, mode >> 3);
        Self { entries: vec![entry(OWNER, mode >> 6), group, entry(OTHER, mode)] }
    }

    /// The list in the value of an attribute.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let entries = value.strip_prefix(&VERSION.to_le_bytes())?;
        if entries.len() % 8 != 0 {
            return None;
        }
        let read = |entry: &[u8]| Entry {
            tag: u16::from_le_bytes([entry[0], entry[1]]),
            rights: u16::from_le_bytes([entry[2], entry[3]]),
            id: u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]),
        };
        let mut entries: Vec<_> = entries.chunks_exact(8).map(read).collect();
        entries.sort_unstable();
        Some(Self { entries })
    }

    /// The value of an attribute.
    #[must_use]
    pub fn value(&self) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for Entry { tag, id, rights } in &self.entries {
            value.extend(tag.to_le_bytes());
            value.extend(rights.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        value
    }

    /// The nine bits that a file with this list shows.
    #[must_use]
    pub fn mode(&self) -> u32 {
        let group = self.rights(MASK).or_else(|| self.rights(GROUP_OF_FILE));
        let bits = [self.rights(OWNER), group, self.rights(OTHER)];
        bits.into_iter().fold(0, |mode, rights| mode << 3 | u32::from(rights.unwrap_or(0)))
    }

    /// Whether the list says no more than the bits of a mode.
    #[must_use]
    pub fn is_mode(&self) -> bool {
        self.rights(MASK).is_none()
    }

    /// The list with no rights but `rights` for anybody. The file's owner has at least the
    /// rights `owner`.
    #[must_use]
    pub fn limited(mut self, rights: u16, owner: u16) -> Self {
        for entry in &mut self.entries {
            entry.rights &= rights;
            if entry.tag == OWNER {
                entry.rights |= owner;
            }
        }
        self
    }

    /// The list that gives everyone the same rights, or fewer, to a file that could not be
    /// given to `owner` or to `group`: they get their rights by name. Nobody gains rights but
    /// the file's new owner.
    #[must_use]
    pub fn in_other_hands(&self, owner: Option<u32>, group: Option<u32>) -> Self {
        let mut list = self.unmasked();
        let rights = |list: &Self, tag| list.rights(tag).unwrap_or(0);
        if let Some(group) = group {
            let (theirs, others) = (rights(&list, GROUP_OF_FILE), rights(&list, OTHER));
            if theirs != others {
                list.allow(GROUP, group, theirs);
            }
            // The members of the file's new group may have had what others had, or
            // only what an entry gave them by name.
            let least = list.least(GROUP) & others;
            list.set(GROUP_OF_FILE, NO_ID, least);
        }
        // Root needs no entry.
        if let Some(owner) = owner.filter(|owner| *owner != 0) {
            let theirs = rights(&list, OWNER);
            let least = rights(&list, GROUP_OF_FILE)
                & rights(&list, OTHER)
                & list.least(USER)
                & list.least(GROUP);
            if theirs & !least != 0 {
                list.set(USER, owner, theirs);
            }
        }
        list.masked()
    }

    /// The list without names, for a file system that takes none: nobody gains rights by it.
    #[must_use]
    pub fn without_names(&self) -> Self {
        let mut list = self.unmasked();
        // safeguard: denied-names-kept
        let named = list.least(USER) & list.least(GROUP);
        list.entries.retain(|entry| ![USER, GROUP].contains(&entry.tag));
        list.limited_below_owner(named)
    }

    fn limited_below_owner(mut self, rights: u16) -> Self {
        for entry in self.entries.iter_mut().filter(|entry| entry.tag != OWNER) {
            entry.rights &= rights;
        }
        self
    }

    fn rights(&self, tag: u16) -> Option<u16> {
        self.entries.iter().find(|entry| entry.tag == tag).map(|entry| entry.rights)
    }

    /// The rights that every entry of a kind gives.
    fn least(&self, tag: u16) -> u16 {
        let all = self.entries.iter().filter(|entry| entry.tag == tag);
        all.fold(ALL, |least, entry| least & entry.rights)
    }

    fn set(&mut self, tag: u16, id: u32, rights: u16) {
        self.entries.retain(|entry| (entry.tag, entry.id) != (tag, id));
        self.entries.push(Entry { tag, id, rights });
        self.entries.sort_unstable();
    }

    /// Adds rights to an entry: a member of two groups has the rights of both.
    fn allow(&mut self, tag: u16, id: u32, rights: u16) {
        let there = self.entries.iter().find(|entry| (entry.tag, entry.id) == (tag, id));
        self.set(tag, id, rights | there.map_or(0, |entry| entry.rights));
    }

    /// The same rights without a mask.
    fn unmasked(&self) -> Self {
        let mask = self.rights(MASK).unwrap_or(ALL);
        let mut entries = self.entries.clone();
        entries.retain(|entry| entry.tag != MASK);
        for entry in entries.iter_mut().filter(|entry| ![OWNER, OTHER].contains(&entry.tag)) {
            entry.rights &= mask;
        }
        Self { entries }
    }

    /// The same rights with a mask that takes none away, where there are names.
    fn masked(mut self) -> Self {
        let in_class = |entry: &&Entry| [USER, GROUP_OF_FILE, GROUP].contains(&entry.tag);
        if self.entries.iter().any(|entry| [USER, GROUP].contains(&entry.tag)) {
            let mask =
                self.entries.iter().filter(in_class).fold(0, |all, entry| all | entry.rights);
            self.set(MASK, NO_ID, mask);
        }
        self
    }
}

/// The value of an access list's attribute of a file; nothing where the file has no such
/// list, or its file system has no lists.
///
/// # Errors
///
/// When it cannot be read.
pub fn read(file: impl AsFd, name: &str) -> Result<Option<Vec<u8>>> {
    match xattr::read(file, name) {
        Err(Errno::OPNOTSUPP) => Ok(None),
        value => value,
    }
}

/// Gives a file the value of an access list's attribute, or takes the attribute from it.
///
/// # Errors
///
/// When the kernel refuses.
pub fn write(file: impl AsFd, name: &str, value: Option<&[u8]>) -> Result<()> {
    xattr::write(file, name, value)
}

/// What became of giving a file away.
#[derive(Debug, Default)]
pub struct Given {
    /// Why it could not be given to the owner.
    pub owner: Option<Errno>,
    /// Why it could not be given to the group.
    pub group: Option<Errno>,
}

/// Gives a file to those of an owner and a group that it can be given to.
pub fn give(file: impl AsFd, owner: Option<u32>, group: Option<u32>) -> Given {
    let (to_owner, to_group) = (owner.map(Uid::from_raw), group.map(Gid::from_raw));
    let both = match (to_owner, to_group) {
        (None, None) => Ok(()),
        _ => fs::fchown(&file, to_owner, to_group),
    };
    match (both, to_owner, to_group) {
        (Ok(()), ..) => Given::default(),
        // The group first: who has given a file away changes it no more.
        (Err(_), Some(_), Some(_)) => {
            let group = fs::fchown(&file, None, to_group).err();
            Given { group, owner: fs::fchown(&file, to_owner, None).err() }
        }
        (Err(errno), ..) => {
            Given { owner: to_owner.map(|_| errno), group: to_group.map(|_| errno) }
        }
    }
}
