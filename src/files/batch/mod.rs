//! Several files as one commit, and what becomes of a commit that was interrupted.

pub mod commit;
mod decision;
mod folders;
mod interrupted;
pub mod journal;
pub mod notice;
mod preconditions;
pub mod recovery;
mod roll_forward;
