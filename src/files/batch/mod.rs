//! Several files as one commit, and the recovery of a commit that was interrupted.

pub mod commit;
mod decision;
mod folders;
pub mod give_up;
pub mod inspect;
mod interrupted;
pub mod journal;
pub mod name;
pub mod notice;
mod preconditions;
pub mod recovery;
mod roll_forward;
