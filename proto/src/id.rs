//! The two ids: of a request, drawn once by the gateway, and of a record, computed from it.
//!
//! A record's id must be the same on every redelivery and every replay, so it is a function of the request and of the
//! record's place in it, and of nothing else.

use uuid::{Builder, Uuid};

use crate::Millis;

/// A request's id (`Penstock-Id`): `UUIDv7` of the moment it arrived, with the caller's random bytes.
pub fn request_id(received_at: Millis, random: [u8; 10]) -> Uuid {
    uuid_v7(received_at, random)
}

/// A record's id: `UUIDv7` of `received_at`, its 74 random bits taken from BLAKE3(request id, 16 bytes; part, u32 LE).
///
/// `part` is the record's place in the request, in document order, counting every element, understood or not.
pub fn record_id(received_at: Millis, request_id: Uuid, part: u32) -> Uuid {
    let mut hasher = blake3::Hasher::new();
    hasher.update(request_id.as_bytes());
    hasher.update(&part.to_le_bytes());
    let mut bits = [0; 10];
    hasher.finalize_xof().fill(&mut bits);
    uuid_v7(received_at, bits)
}

fn uuid_v7(time: Millis, bits: [u8; 10]) -> Uuid {
    // A time before 1970 cannot be told by a UUIDv7; the gateway's clock is checked against the broker's, and the
    // broker's is used where they differ, so zero is what a broken pair of clocks gets.
    let millis = u64::try_from(time.as_unix()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &bits).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time() -> Millis {
        Millis::from_unix(1_795_412_009_120).unwrap()
    }

    #[test]
    fn a_record_id_never_changes() {
        let request = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001);
        let golden = [
            (0, "01a206e5-20a0-70ef-8117-aa2418d7e94f"),
            (1, "01a206e5-20a0-7436-b3c2-ec29877fdc36"),
            (u32::MAX, "01a206e5-20a0-7988-8c5f-3e40da950f88"),
        ];
        for (part, expected) in golden {
            assert_eq!(record_id(time(), request, part).to_string(), expected, "part {part}");
        }
    }

    #[test]
    fn ids_sort_by_time() {
        let earlier = record_id(Millis::from_unix(1).unwrap(), Uuid::max(), 0);
        let later = record_id(Millis::from_unix(2).unwrap(), Uuid::nil(), 0);
        assert!(earlier < later);
        assert_eq!(later.get_version_num(), 7);
    }
}
