//! How much memory each role has at most, as `docs/reliability.md` states it, with the default settings.

use crate::Role;

const MIB: u64 = 1024 * 1024;
/// The default of `gateway.body_budget`.
const BODY_BUDGET: u64 = 64 * MIB;
/// The default of `gateway.max_connections`, and what one holds at most beside a body.
const CONNECTIONS: u64 = 10_000;
const HEAD: u64 = 48 * 1024;

/// In bytes. The gateway's is beside the bodies that it has in hand, which `gateway.body_budget` bounds; a buffer that grows
/// is copied, so they count twice. And a connection may hold a head that is not whole yet, or
/// what HTTP/2 keeps of its streams.
pub fn bound(role: Role) -> u64 {
    match role {
        Role::Gateway => 64 * MIB + 2 * BODY_BUDGET + CONNECTIONS * HEAD,
        Role::Normalizer | Role::Persister => 128 * MIB,
        Role::Dedup => 64 * MIB,
    }
}
