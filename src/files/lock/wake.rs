//! Waking whoever waits for a lock, by two words in the lock file.
//!
//! | word | who waits on it | who changes it and wakes |
//! | --- | --- | --- |
//! | of the lock | the process in the queue | whoever releases the lock |
//! | of the queue | those in the line | whoever leaves the queue |
//!
//! No wake-up is lost. A waiter joins the line, enters the queue, reads the word, tries the
//! lock, and sleeps if the word is still the same. Whoever releases the lock unlocks, looks
//! whether somebody waits, and wakes. If that wakes nobody, it changes the word and wakes again.
//! If the waiter's try fails, it came before the unlock. So the waiter was in the queue before
//! the look, which sees the waiter; and the word was read before it is changed. The kernel
//! compares the word and puts the waiter to sleep in one step. If that is before the first or
//! the second wake-up, the wake-up wakes the waiter; else it is after the change, and the waiter
//! does not sleep. The same holds for the line and the queue, where it is enough that one of
//! those in the line is woken: that process enters the queue, and wakes the next.
//!
//! Two things wake nobody: the death of a holder, and a wake-up that goes to a process that is
//! stopped or killed at that moment. So every sleep is short, and the waiter then looks again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::time::{ClockId, clock_gettime};

use crate::files::layout;
use crate::files::sys::futex::MappedWords;
use crate::files::sys::lock;

/// A word in a lock file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Lock,
    Queue,
}

impl Word {
    pub(super) fn place(self) -> usize {
        match self {
            Self::Lock => layout::LOCK_WORD_PLACE,
            Self::Queue => layout::QUEUE_WORD_PLACE,
        }
    }

    /// The word now. Where the lock file is too short, it gets the length: else the kernel
    /// finds no word to wait on.
    pub(super) fn read(self, file: &File) -> io::Result<u32> {
        let mut word = [0; 4];
        if file.read_at(&mut word, self.place() as u64)? < word.len() {
            // Behind the words, so that no word is changed that somebody is just writing.
            file.write_at(&[0], layout::INDEX_PLACE as u64 - 1)?;
        }
        Ok(u32::from_ne_bytes(word))
    }

    /// Gives the word another value than anybody can have read: the time, which comes again
    /// after four seconds, to the nanosecond.
    fn change(self, file: &File) -> io::Result<()> {
        let now = clock_gettime(ClockId::Monotonic);
        let word = now.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
        file.write_all_at(&(word as u32).to_ne_bytes(), self.place() as u64)
    }
}

/// Wakes the process that is to get the lock now. Called when the lock has been released.
/// Where this fails, that process looks soon.
pub(super) fn after_release(file: &File) -> io::Result<()> {
    if !lock::is_awaited(file)? {
        return Ok(());
    }
    let words = MappedWords::of(file)?;
    // safeguard: wake-of-the-queue
    if words.wake_one(Word::Lock.place()) {
        return Ok(());
    }
    let word = if lock::is_in_queue(file)? {
        Word::Lock
    } else {
        // The process that was about to enter the queue may be dead.
        Word::Queue
    };
    // safeguard: word-changed-before-second-wake
    word.change(file)?;
    words.wake_one(word.place());
    Ok(())
}

/// Wakes the process that is to enter the queue now. Called when the queue has been left, with
/// the words where they are mapped already.
pub(super) fn after_queue(file: &File, words: Option<MappedWords>) -> io::Result<()> {
    let words = match words {
        Some(words) => words,
        None if lock::is_in_line(file)? => MappedWords::of(file)?,
        None => return Ok(()),
    };
    // safeguard: wake-of-the-line
    let woken = words.wake_one(Word::Queue.place());
    if woken || lock::is_in_line(file)? {
        // Also where somebody was woken: the others see by the word that the queue moves.
        Word::Queue.change(file)?;
        if !woken {
            words.wake_one(Word::Queue.place());
        }
    }
    Ok(())
}
