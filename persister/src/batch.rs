//! Cuts a batch into what one statement takes: pure. A record's id at most once, because a statement cannot write a
//! row twice (21000); of several records with one id, the later ones meet the first as a redelivery.
//!
//! A key may be there many times: `judge.sql` lets one record at a time change it and hands the others back.

use std::collections::HashSet;

use uuid::Uuid;

/// The places of a batch that can be judged together, and those that have to wait for them.
///
/// `ids` are the ids of the whole batch, `places` the places that are still to be judged, in order.
pub(crate) fn next_round(ids: &[Uuid], places: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut seen = HashSet::with_capacity(places.len());
    places.iter().partition(|place| ids.get(**place).is_some_and(|id| seen.insert(*id)))
}

/// The two halves of what failed together; `None` where a single one is left.
pub(crate) fn halves(places: &[usize]) -> Option<(&[usize], &[usize])> {
    if places.len() < 2 { None } else { places.split_at_checked(places.len() / 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_judged_once_at_a_time_and_none_is_forgotten() {
        let ids = [1, 2, 1, 1, 3].map(Uuid::from_u128);
        let (round, rest) = next_round(&ids, &[0, 1, 2, 3, 4]);
        assert_eq!((round, &rest[..]), (vec![0, 1, 4], &[2, 3][..]));
        let (round, rest) = next_round(&ids, &rest);
        assert_eq!((round, rest), (vec![2], vec![3]));
    }

    #[test]
    fn halves_end_at_one() {
        assert_eq!(halves(&[1, 2, 3]), Some((&[1][..], &[2, 3][..])));
        assert_eq!(halves(&[1]), None);
    }
}
