//! From records to rows: judges each one against the keys of its window, writes what passes, and says why the rest is
//! not there.
//!
//! Read in this order: [`row`] parses; `batch` cuts; `judge` runs the transaction, whose rules are in `sql/judge.sql`,
//! on a connection of `session`; [`fault`] says whose an error is; [`store`] puts them together. [`partitions`],
//! [`expiry`], `dead_letters`, [`lookup`] and [`schema`] look after the tables, which are in `migrations/`.
//!
//! [`stage`] moves batches of records through it, [`letters`] what the stages gave up on; [`audit`] looks whether every
//! request has its endings; [`erasure`] takes somebody out of the tables; [`housekeeping`] clears away, with [`retention`]
//! for what goes before its month; [`pulse`] asks whether the database answers; [`role`] wires it
//! all together.
//!
//! What a reader would get wrong: the broker's claim is not what makes rows unique, the lock of the key in
//! `message_keys` is. A claim only spares a second look.

pub mod row;

mod batch;
mod columns;
mod judge;
mod session;

pub mod fault;
pub mod store;

mod canary;

mod dead_letters;
pub mod expiry;
pub mod lookup;
pub mod partitions;
pub mod schema;

pub mod audit;
pub mod erasure;
mod headers;
pub mod housekeeping;
pub mod letters;
pub mod metrics;
pub mod pulse;
pub mod retention;
pub mod role;
pub mod stage;

pub use expiry::{Expired, Swept};
pub use judge::Outcome;
pub use lookup::{Ending, Found, Query};
pub use partitions::{DroppedMonth, Month};
pub use role::{ROLE, migrate};
pub use row::{Row, RowError};
pub use schema::SchemaError;
pub use store::{Refusal, Settled, Store, StoreError, WriteReport};
