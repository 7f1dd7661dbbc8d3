//! Rows that are kept for a shorter time than all rows, and files that no row refers to any more.
//!
//! [`kept`] says how long whose rows are kept, `walk` which stretch of a table is gone through next: both pure. `present`
//! says what time it is. [`rows`] deletes rows, [`files`] files.
//!
//! What a reader would get wrong: the tables have no index by source, since every message would pay for it. So what is
//! old is found by going through a table in the order of its primary key, which is that of time, and remembering how far
//! that has come.

pub mod files;
pub mod kept;
pub(crate) mod present;
pub mod rows;
pub(crate) mod walk;
