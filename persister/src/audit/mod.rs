//! The audit: every request that was accepted has its endings, is still on its way, or is missing.
//!
//! [`endings`] says what of a request has ended, [`course`] what can still be on its way, [`judge`] puts the two together:
//! all pure. [`lookup`] asks the tables, [`view`] the streams; `task` does it all the time in the persister, and
//! `penstock audit` does it once.
//!
//! What a reader would get wrong: that something is not in the tables yet says nothing. It is missing when it is not
//! there although every stage has finished everything that could have brought it there.

pub mod course;
pub mod endings;
pub mod judge;
pub mod lookup;
pub mod request;
pub mod view;

#[cfg(test)]
mod model_tests;
pub(crate) mod task;
