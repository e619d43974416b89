//! What a Python program can write instead, added to what storage says of an error.

use crate::error::{Error, Remedy, Standstill, name};

/// The message of an error, with the remedy in Python's terms.
pub(super) fn message(error: &Error) -> String {
    if let Error::Unfinished { cause, .. } = error {
        return error.to_string().replacen(&cause.to_string(), &message(cause), 1);
    }
    let remedy = match error.remedy() {
        None => "",
        Some(Remedy::MakeFolders) => " (save_json_atomic does with make_parents=True)",
        Some(Remedy::ListBackups) => " (see list_backups)",
        Some(Remedy::SaveWithoutBackup) => " (or pass backup=False)",
        Some(Remedy::SaveWithoutSync) if matches!(error, Error::NotDurable { .. }) => {
            ", and configure(durability=\"process\") saves without it"
        }
        Some(Remedy::SaveWithoutSync) => {
            ": configure(durability=\"process\") saves without it, and a power cut may then undo \
             the last saves"
        }
        Some(Remedy::LeaveBlock) => {
            "; it has entered an edit_json that nobody has left (by an ExitStack, a generator or \
             __enter__): leave that first"
        }
        Some(Remedy::DoNotWait(standstill)) => {
            return format!("{}: {}", name(error.path()), instead_of_waiting(standstill));
        }
    };
    format!("{error}{remedy}")
}

/// Why the thread would wait for itself, and what to write instead.
fn instead_of_waiting(standstill: Standstill) -> &'static str {
    match standstill {
        Standstill::Nested => {
            "this thread is already writing it (a save inside its own edit_json, say); change the \
             document that is being edited instead"
        }
        Standstill::Await => {
            "this task is inside an edit_json block already, or another task of this event loop \
             awaits inside its edit_json block, and cannot go on while this one waits; await first \
             and edit then, or run the whole edit in a thread (asyncio.to_thread)"
        }
        Standstill::Switch => {
            "another greenlet of this thread has switched away inside its edit_json block, and \
             cannot go on while this one waits; let the block do nothing that switches, or run the \
             whole edit in a thread of its own"
        }
    }
}
