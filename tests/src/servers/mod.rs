//! The two servers by themselves, without any role of Penstock: found as `penstock up` finds them, run as a test wants
//! them, and asked on the wire.
//!
//! Used by the contract tests (`tests/servers`), which hold what the product believes of the servers. What is asserted
//! there has to be the server's own answer, so nothing here reads an answer for the test ([`wire`] gives it as it came).

pub mod cluster;
pub mod found;
pub mod nats;
pub mod postgres;
pub mod wire;
pub mod with_root;

pub use cluster::Cluster;
pub use found::found;
pub use nats::NatsServer;
pub use postgres::Postgres;
pub use wire::Wire;
