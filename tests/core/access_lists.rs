use oasis_data::files::sys::access_list::AccessList;

const NOBODY: u32 = u32::MAX;
const OWNER: u16 = 1;
const USER: u16 = 2;
const GROUP_OF_FILE: u16 = 4;
const GROUP: u16 = 8;
const MASK: u16 = 16;
const OTHER: u16 = 32;

/// A list as the kernel has it: tag, id and rights of each entry.
fn list(entries: &[(u16, u32, u16)]) -> AccessList {
    let entry = |&(tag, id, rights): &(u16, u32, u16)| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let entries: Vec<u8> = entries.iter().flat_map(entry).collect();
    AccessList::parse(&[&[2, 0, 0, 0], &entries[..]].concat()).unwrap()
}

#[test]
fn a_mode_is_a_list_and_back() {
    for mode in [0o600, 0o640, 0o604, 0o777, 0] {
        let list = AccessList::of_mode(mode);
        assert_eq!(list.mode(), mode);
        assert!(list.is_mode());
        assert_eq!(AccessList::parse(&list.value()), Some(list));
    }
    assert_eq!(AccessList::parse(b"\x03\0\0\0"), None);
    assert_eq!(AccessList::parse(b"\x02\0\0\0\0"), None);
}

#[test]
fn a_group_that_is_not_kept_has_its_rights_by_name_and_nobody_gains() {
    let moved = AccessList::of_mode(0o640).in_other_hands(None, Some(33));
    let wanted = [
        (OWNER, NOBODY, 6),
        (GROUP_OF_FILE, NOBODY, 0),
        (GROUP, 33, 4),
        (MASK, NOBODY, 4),
        (OTHER, NOBODY, 0),
    ];
    assert_eq!(moved, list(&wanted));
    assert_eq!(moved.without_names().mode(), 0o600);
    // The group had less than others: without names, so have all.
    let less = AccessList::of_mode(0o604).in_other_hands(None, Some(33));
    assert_eq!((less.mode(), less.without_names().mode()), (0o604, 0o600));
    assert!(AccessList::of_mode(0o644).in_other_hands(None, Some(33)).is_mode());
}

#[test]
fn an_owner_who_is_not_kept_has_rights_by_name() {
    let moved = AccessList::of_mode(0o664).in_other_hands(Some(1000), None);
    let wanted = [
        (OWNER, NOBODY, 6),
        (USER, 1000, 6),
        (GROUP_OF_FILE, NOBODY, 6),
        (MASK, NOBODY, 6),
        (OTHER, NOBODY, 4),
    ];
    assert_eq!(moved, list(&wanted));
    assert!(AccessList::of_mode(0o666).in_other_hands(Some(1000), None).is_mode());
    // Root needs no entry.
    assert!(AccessList::of_mode(0o600).in_other_hands(Some(0), None).is_mode());
}

#[test]
fn a_mask_still_takes_away_what_it_took() {
    let masked = list(&[
        (OWNER, NOBODY, 7),
        (USER, 5, 7),
        (GROUP_OF_FILE, NOBODY, 7),
        (MASK, NOBODY, 4),
        (OTHER, NOBODY, 0),
    ]);
    let wanted = [
        (OWNER, NOBODY, 7),
        (USER, 5, 4),
        (USER, 1000, 7),
        (GROUP_OF_FILE, NOBODY, 0),
        (GROUP, 33, 4),
        (MASK, NOBODY, 7),
        (OTHER, NOBODY, 0),
    ];
    assert_eq!(masked.in_other_hands(Some(1000), Some(33)), list(&wanted));
}

#[test]
fn whom_a_name_keeps_out_stays_out_without_names() {
    for tag in [USER, GROUP] {
        let denied = list(&[
            (OWNER, NOBODY, 6),
            (tag, 5, 0),
            (GROUP_OF_FILE, NOBODY, 4),
            (MASK, NOBODY, 4),
            (OTHER, NOBODY, 4),
        ]);
        assert_eq!(denied.without_names().mode(), 0o600);
        // Nor does a member of the file's new group gain what the name denies.
        let moved = denied.in_other_hands(None, Some(33));
        let of_new_group = if tag == GROUP { 0 } else { 4 };
        assert!(moved.value().windows(8).any(|entry| {
            entry == [&[4, 0, of_new_group, 0][..], &NOBODY.to_le_bytes()].concat()
        }));
    }
}
