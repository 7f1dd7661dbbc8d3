//! Which records become rows: one after the other, in every order that matters.

use crate::postgres::Database;
use crate::records::{Dice, MINUTE, Record, erased, outcome, outcomes, record, repeat_of};
use persister::Outcome::{Redelivered, Stored, Updated};
use proto::Kind;

const ENDINGS: &str = "SELECT count(*) FROM (SELECT id FROM messages UNION ALL SELECT id FROM message_statuses
    UNION ALL SELECT id FROM duplicates) e";

impl Database {
    async fn rows(&self) -> i64 {
        self.number("SELECT count(*) FROM messages").await
    }

    /// Rows that the newest reading still yields.
    async fn live_rows(&self) -> i64 {
        self.number("SELECT count(*) FROM messages WHERE superseded_at IS NULL").await
    }

    async fn forget_keys(&self) {
        self.run("TRUNCATE message_keys, past_keys").await;
    }
}

#[tokio::test]
async fn a_repeat_inside_the_window_is_no_row_and_says_which_record_it_repeats() {
    let db = Database::new().await;
    let (first, repeat) = (record(1, 0, "k"), record(2, 10 * MINUTE - 1, "k"));
    assert_eq!(outcome(&db.store, &first).await, Stored);
    assert_eq!(outcome(&db.store, &repeat).await, repeat_of(&first));
    assert_eq!(db.rows().await, 1);
    let expected = format!("{} {} repeat auto SMk", repeat.id(), first.id());
    let entries = "SELECT concat_ws(' ', id, original_id, verdict, policy, provider_message_id) FROM duplicates";
    assert_eq!(db.texts(entries).await, [expected]);
}

#[tokio::test]
async fn equal_texts_under_different_keys_are_two_rows() {
    let db = Database::new().await;
    assert_eq!(outcomes(&db.store, &[record(1, 0, "a"), record(2, 0, "b")]).await, [Stored, Stored]);
    assert_eq!(db.rows().await, 2);
}

#[tokio::test]
async fn where_the_window_ends_a_new_one_begins() {
    let db = Database::new().await;
    let (first, second) = (record(1, 0, "k"), record(2, 10 * MINUTE, "k"));
    assert_eq!(outcome(&db.store, &first).await, Stored);
    assert_eq!(outcome(&db.store, &second).await, Stored);
    assert_eq!(outcome(&db.store, &record(3, 15 * MINUTE, "k")).await, repeat_of(&second));
    assert_eq!(outcome(&db.store, &first).await, Redelivered);
    assert_eq!(outcome(&db.store, &second).await, Redelivered);
}

#[tokio::test]
async fn a_late_repeat_of_a_record_that_lost_its_key_is_still_a_repeat() {
    let db = Database::new().await;
    let (first, second) = (record(1, 0, "k"), record(2, 30 * MINUTE, "k"));
    outcomes(&db.store, &[first.clone(), second.clone()]).await;
    let late = record(3, 5 * MINUTE, "k");
    assert_eq!(outcome(&db.store, &late).await, repeat_of(&first));
    assert_eq!(outcome(&db.store, &first).await, Redelivered);
    assert_eq!(db.rows().await, 2);
}

#[tokio::test]
async fn a_record_older_than_the_window_reaches_back_is_a_row_and_its_repeats_are_not() {
    let db = Database::new().await;
    let (newer, older) = (record(1, 30 * MINUTE, "k"), record(2, 20 * MINUTE, "k"));
    assert_eq!(outcome(&db.store, &newer).await, Stored);
    assert_eq!(outcome(&db.store, &record(3, 20 * MINUTE + 1, "k")).await, repeat_of(&newer));
    assert_eq!(outcome(&db.store, &older).await, Stored);
    assert_eq!(outcome(&db.store, &record(4, 12 * MINUTE, "k")).await, repeat_of(&older));
    assert_eq!(outcome(&db.store, &record(5, 31 * MINUTE, "k")).await, repeat_of(&newer), "the key was not taken over");
    assert_eq!(outcome(&db.store, &record(6, 10 * MINUTE, "k")).await, Stored);
    assert_eq!(outcome(&db.store, &older).await, Redelivered);
    assert_eq!(db.rows().await, 3);
}

#[tokio::test]
async fn an_ending_is_kept_when_the_keys_are_gone() {
    let db = Database::new().await;
    let (first, repeat) = (record(1, 0, "k"), record(2, MINUTE, "k"));
    outcomes(&db.store, &[first.clone(), repeat.clone()]).await;
    db.forget_keys().await;
    assert_eq!(outcome(&db.store, &repeat).await, repeat_of(&first));
    assert_eq!(db.number("SELECT count(*) FROM message_keys").await, 0, "what is no row holds no key");
    assert_eq!(outcome(&db.store, &first).await, Redelivered);
    assert_eq!(outcome(&db.store, &repeat.replayed(1)).await, repeat_of(&first));
    assert_eq!(db.number(ENDINGS).await, 2);
}

#[tokio::test]
async fn a_repeat_keeps_its_ending_when_its_key_has_another_holder() {
    let db = Database::new().await;
    let (first, repeat, later) = (record(1, 0, "k"), record(2, 9 * MINUTE, "k"), record(3, 40 * MINUTE, "k"));
    outcomes(&db.store, &[first.clone(), repeat.clone()]).await;
    db.forget_keys().await;
    assert_eq!(outcome(&db.store, &later).await, Stored);
    assert_eq!(outcome(&db.store, &repeat).await, repeat_of(&first));
    assert_eq!(db.number(ENDINGS).await, 3);
}

#[tokio::test]
async fn a_key_given_back_goes_to_the_next_record_of_the_same_batch() {
    let db = Database::new().await;
    let (first, repeat, other) = (record(1, 0, "k"), record(2, MINUTE, "k"), record(3, 10 * MINUTE + 1, "k"));
    outcomes(&db.store, &[first.clone(), repeat.clone()]).await;
    db.forget_keys().await;
    // `other` is outside the window of `first`, and inside what would be the window of the repeat.
    assert_eq!(outcomes(&db.store, &[repeat, other]).await, [repeat_of(&first), Stored]);
}

#[tokio::test]
async fn one_batch_full_of_one_key_is_one_row_a_window() {
    let db = Database::new().await;
    let batch: Vec<_> = (0..400_i64).rev().map(|n| record(n.unsigned_abs().into(), n * MINUTE / 10, "k")).collect();
    let outcomes = outcomes(&db.store, &batch).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Stored).count(), 4);
    let times = "SELECT extract(epoch from received_at - '2026-11-23T05:33:29.120Z')::text FROM messages ORDER BY 1";
    assert_eq!(db.texts(times).await, ["0.000000", "1200.000000", "1800.000000", "600.000000"]);
    assert_eq!(db.number(ENDINGS).await, 400);
}

#[tokio::test]
async fn an_id_that_is_twice_in_a_batch_is_a_row_and_a_redelivery() {
    let db = Database::new().await;
    let first = record(1, 0, "k");
    assert_eq!(outcomes(&db.store, &[first.clone(), first.clone(), first]).await, [Stored, Redelivered, Redelivered]);
}

#[tokio::test]
async fn what_was_erased_stays_away_whoever_brings_it() {
    let db = Database::new().await;
    let first = record(1, 0, "k");
    outcome(&db.store, &first).await;
    db.erase(&first).await;
    assert_eq!(outcome(&db.store, &first).await, erased(&first));
    assert_eq!(outcome(&db.store, &first.clone().replayed(1)).await, erased(&first));
    assert_eq!(outcome(&db.store, &record(2, MINUTE, "k")).await, erased(&first));
    assert_eq!(
        outcome(&db.store, &record(3, 10 * MINUTE, "k")).await,
        Stored,
        "outside the window it is another message"
    );
    assert_eq!(outcome(&db.store, &record(4, 2 * MINUTE, "k")).await, erased(&first), "also by a key that was lost");
    assert_eq!(outcome(&db.store, &first.clone().keyed("other").replayed(2)).await, erased(&first));
    db.forget_keys().await;
    assert_eq!(outcome(&db.store, &first.clone().replayed(3)).await, erased(&first));
    assert_eq!(db.rows().await, 1);
    let verdicts = "SELECT verdict FROM duplicates ORDER BY id";
    assert_eq!(db.texts(verdicts).await, ["erased", "erased", "erased"]);
}

#[tokio::test]
async fn a_replay_corrects_a_row_in_place_and_only_with_what_is_newer() {
    let db = Database::new().await;
    let first = record(1, 0, "k");
    let text = "SELECT text FROM messages";
    outcome(&db.store, &first).await;
    let stored_at = db.texts("SELECT stored_at::text FROM messages").await;
    assert_eq!(outcome(&db.store, &first.clone().saying("new").replayed(20)).await, Updated);
    assert_eq!(db.texts(text).await, ["new"]);
    assert_eq!(outcome(&db.store, &first.clone().saying("old").replayed(10)).await, Redelivered);
    assert_eq!(outcome(&db.store, &first.clone().saying("same").replayed(20)).await, Redelivered);
    assert_eq!(outcome(&db.store, &first.clone().saying("plain")).await, Redelivered);
    assert_eq!(db.texts(text).await, ["new"]);
    assert_eq!(db.texts("SELECT stored_at::text FROM messages").await, stored_at);
    assert_eq!(db.number("SELECT count(*) FROM messages WHERE updated_at IS NOT NULL").await, 1);
}

#[tokio::test]
async fn a_replay_corrects_a_row_that_lost_its_key() {
    let db = Database::new().await;
    let (first, second) = (record(1, 0, "k"), record(2, 30 * MINUTE, "k"));
    outcomes(&db.store, &[first.clone(), second]).await;
    assert_eq!(outcome(&db.store, &first.clone().saying("new").replayed(1)).await, Updated);
    db.forget_keys().await;
    assert_eq!(outcome(&db.store, &first.clone().saying("newer").replayed(2)).await, Updated);
    // Its reading gives another key, which somebody else holds: it is a row already and stays one.
    let other = record(3, 0, "other");
    outcome(&db.store, &other).await;
    assert_eq!(outcome(&db.store, &first.keyed("other").saying("newest").replayed(3)).await, Updated);
    assert_eq!(db.rows().await, 3);
}

#[tokio::test]
async fn a_row_whose_kind_belongs_to_the_other_table_moves_and_moves_back() {
    let db = Database::new().await;
    let first = record(1, 0, "k");
    outcome(&db.store, &first).await;
    let status = first.clone().of_kind(Kind::Status);
    assert_eq!(outcome(&db.store, &status).await, Redelivered, "no replay, no correction");
    assert_eq!(outcome(&db.store, &status.clone().replayed(5)).await, Updated);
    assert_eq!((db.rows().await, db.number(ENDINGS).await), (0, 1));
    assert_eq!(db.texts("SELECT status FROM message_statuses").await, ["delivered"]);
    assert_eq!(outcome(&db.store, &first.clone().replayed(4)).await, Redelivered, "an older replay moves nothing");
    assert_eq!(outcome(&db.store, &first.replayed(6)).await, Updated);
    assert_eq!((db.rows().await, db.number(ENDINGS).await), (1, 1));
}

#[tokio::test]
async fn what_a_newer_reading_no_longer_yields_is_superseded_and_can_come_back() {
    let db = Database::new().await;
    let part = |part, parts| record(1, 0, &format!("k{part}")).part(part, parts);
    let bystander = record(2, 0, "x").part(2, 3);
    outcomes(&db.store, &[part(0, 3), part(1, 3), part(2, 3).of_kind(Kind::Status), bystander]).await;
    assert_eq!(outcome(&db.store, &part(0, 1).replayed(20)).await, Updated);
    let superseded = "SELECT part::bigint FROM messages WHERE superseded_at IS NOT NULL UNION ALL
        SELECT part FROM message_statuses WHERE superseded_at IS NOT NULL";
    let count = format!("SELECT count(*) FROM ({superseded}) s");
    assert_eq!(db.number(&count).await, 2);
    assert_eq!(outcome(&db.store, &part(1, 3).replayed(10)).await, Redelivered, "an older replay brings nothing back");
    assert_eq!(outcomes(&db.store, &[part(0, 2).replayed(30), part(1, 2).replayed(31)]).await, [Updated, Updated]);
    assert_eq!(db.number(&count).await, 1);
}

#[tokio::test]
async fn what_a_superseded_row_held_goes_to_the_next_copy() {
    let db = Database::new().await;
    let part = |part: u32, parts| record(1, 0, &format!("k{part}")).part(part, parts);
    outcomes(&db.store, &[part(0, 2), part(1, 2)]).await;
    assert_eq!(outcome(&db.store, &part(0, 1).replayed(1)).await, Updated);
    assert_eq!(outcome(&db.store, &part(1, 2)).await, Redelivered, "a late delivery of it brings nothing back");
    let copy = record(2, MINUTE, "k1");
    assert_eq!(outcome(&db.store, &copy).await, Stored);
    // A newer reading has it again, but by now the copy is the message.
    let back = [part(0, 2).replayed(2), part(1, 2).replayed(3)];
    assert_eq!(outcomes(&db.store, &back).await, [Updated, repeat_of(&copy)]);
    assert_eq!((db.live_rows().await, db.number(ENDINGS).await), (2, 3));
}

#[tokio::test]
async fn a_superseded_row_that_nobody_replaced_comes_back_as_a_row() {
    let db = Database::new().await;
    let part = |part: u32, parts| record(1, 0, &format!("k{part}")).part(part, parts);
    let repeat = record(2, MINUTE, "k1");
    outcomes(&db.store, &[part(0, 2), part(1, 2), repeat.clone()]).await;
    outcome(&db.store, &part(0, 1).replayed(1)).await;
    // In one batch with its repeat, which stays one.
    let back = [part(0, 2).replayed(2), part(1, 2).replayed(3), repeat.clone().replayed(4)];
    assert_eq!(outcomes(&db.store, &back).await, [Updated, Updated, repeat_of(&part(1, 2))]);
    assert_eq!(outcome(&db.store, &record(3, 2 * MINUTE, "k1")).await, repeat_of(&part(1, 2)));
    assert_eq!((db.live_rows().await, db.number(ENDINGS).await), (2, 4));
}

#[tokio::test]
async fn a_replay_makes_a_row_of_the_repeat_of_what_was_superseded() {
    for together in [true, false] {
        let db = Database::new().await;
        let part = |part: u32, parts| record(1, 0, &format!("k{part}")).part(part, parts);
        let (one, two) = (record(2, MINUTE, "k1"), record(3, 2 * MINUTE, "k1"));
        outcomes(&db.store, &[part(0, 2), part(1, 2), one.clone(), two.clone()]).await;
        let replay = [part(0, 1).replayed(1), one.clone().replayed(2), two.clone().replayed(3)];
        let endings = if together {
            outcomes(&db.store, &replay).await
        } else {
            outcome(&db.store, &replay[0]).await;
            assert_eq!(outcome(&db.store, &one).await, repeat_of(&part(1, 2)), "no replay, no change");
            [vec![Updated], outcomes(&db.store, &replay[1..]).await].concat()
        };
        assert_eq!(endings, [Updated, Stored, repeat_of(&one)]);
        assert_eq!((db.live_rows().await, db.number(ENDINGS).await), (2, 4));
        assert_eq!(outcomes(&db.store, &replay).await, [Redelivered, Redelivered, repeat_of(&one)]);
    }
}

#[tokio::test]
async fn a_repeat_of_what_became_a_repeat_itself_is_judged_by_who_holds_the_key() {
    let db = Database::new().await;
    let part = |part: u32, parts| record(1, 0, &format!("k{part}")).part(part, parts);
    let (repeat, holder) = (record(2, MINUTE, "k1"), record(3, 2 * MINUTE, "k1"));
    outcomes(&db.store, &[part(0, 2), part(1, 2), repeat.clone()]).await;
    outcome(&db.store, &part(0, 1).replayed(1)).await;
    assert_eq!(outcome(&db.store, &holder).await, Stored);
    assert_eq!(outcome(&db.store, &part(1, 2).replayed(2)).await, repeat_of(&holder));
    assert_eq!(outcome(&db.store, &repeat.replayed(3)).await, repeat_of(&holder));
    assert_eq!((db.live_rows().await, db.number(ENDINGS).await), (2, 4));
}

#[tokio::test]
async fn a_repeat_whose_reading_gives_another_key_waits_for_its_original_to_be_read_anew() {
    let db = Database::new().await;
    let (first, repeat) = (record(1, 0, "k"), record(2, MINUTE, "k"));
    outcomes(&db.store, &[first.clone(), repeat.clone()]).await;
    assert_eq!(outcome(&db.store, &repeat.clone().keyed("new").replayed(1)).await, repeat_of(&first));
    assert_eq!(db.rows().await, 1);
    // Read anew, it has the same key again: still one message, also when the keys are gone.
    assert_eq!(outcome(&db.store, &first.clone().keyed("new").replayed(2)).await, Updated);
    db.forget_keys().await;
    assert_eq!(outcome(&db.store, &repeat.clone().keyed("new").replayed(3)).await, repeat_of(&first));
    // And so under the next key, whoever is read first.
    assert_eq!(outcome(&db.store, &repeat.clone().keyed("newer").replayed(4)).await, repeat_of(&first));
    assert_eq!(outcome(&db.store, &first.clone().keyed("newer").replayed(5)).await, Updated);
    assert_eq!(outcome(&db.store, &repeat.keyed("newer").replayed(6)).await, repeat_of(&first));
    assert_eq!((db.rows().await, db.number(ENDINGS).await), (1, 2));
}

#[tokio::test]
async fn a_repeat_is_judged_anew_where_both_were_read_to_keys_of_their_own() {
    for together in [true, false] {
        let db = Database::new().await;
        let (first, repeat, other) = (record(1, 0, "k"), record(2, MINUTE, "k"), record(3, 0, "other"));
        outcomes(&db.store, &[first.clone(), repeat.clone(), other.clone()]).await;
        assert_eq!(outcome(&db.store, &repeat.clone().replayed(1)).await, repeat_of(&first), "the same key");
        assert_eq!(outcome(&db.store, &repeat.clone().keyed("other")).await, repeat_of(&first), "no replay");
        let replay = [first.clone().keyed("its own").replayed(2), repeat.clone().keyed("other").replayed(3)];
        if together {
            assert_eq!(outcomes(&db.store, &replay).await, [Updated, repeat_of(&other)]);
        } else {
            assert_eq!(outcome(&db.store, &replay[0]).await, Updated);
            assert_eq!(outcome(&db.store, &replay[1]).await, repeat_of(&other));
        }
        let again = [other.keyed("the other's own").replayed(4), repeat.clone().keyed("own").replayed(5)];
        assert_eq!(outcomes(&db.store, &again).await, [Updated, Stored]);
        assert_eq!((db.rows().await, db.number(ENDINGS).await), (3, 3));
        assert_eq!(outcome(&db.store, &repeat).await, Redelivered);
    }
}

#[tokio::test]
async fn a_repeat_of_what_was_erased_stays_one_under_any_key() {
    let db = Database::new().await;
    let (first, repeat) = (record(1, 0, "k"), record(2, MINUTE, "k"));
    outcomes(&db.store, &[first.clone(), repeat.clone()]).await;
    db.erase(&first).await;
    assert_eq!(outcome(&db.store, &repeat.keyed("new").replayed(1)).await, repeat_of(&first));
    assert_eq!(db.rows().await, 0);
}

#[tokio::test]
async fn replaying_everything_into_empty_tables_gives_the_same_rows() {
    let db = Database::new().await;
    let batch: Vec<_> = (0..200_u128)
        .map(|n| record(n, i64::try_from(n * 7 % 200).unwrap() * MINUTE / 3, &format!("k{}", n % 3)))
        .collect();
    outcomes(&db.store, &batch).await;
    let all = "SELECT concat_ws(' ', id, text, dedup_key) FROM messages ORDER BY id";
    let before = db.texts(all).await;
    db.run("TRUNCATE messages, message_statuses, duplicates, dead_letters, message_keys, past_keys").await;
    let again: Vec<_> = batch.into_iter().map(|record| record.replayed(1)).collect();
    outcomes(&db.store, &again).await;
    assert_eq!(db.texts(all).await, before);
    outcomes(&db.store, &again.into_iter().map(|record| record.replayed(2)).collect::<Vec<_>>()).await;
    assert_eq!(db.texts(all).await, before);
}

/// Requests of several parts, some of them copies of others; keys that change once; readings that yield more parts or
/// fewer; replays of some requests in any order. In the end a replay of all in order, twice, since a repeat may come
/// before what becomes of its original.
#[tokio::test]
async fn whatever_was_replayed_before_each_message_of_the_last_reading_is_one_row() {
    for seed in 0..6_u64 {
        let db = Database::new().await;
        let mut dice = Dice(seed);
        let requests: Vec<(u128, Vec<u64>)> =
            (0..25).map(|request| (request, (0..=dice.below(3)).map(|_| dice.below(20)).collect())).collect();
        let mut sequence = 0;
        let mut read = |request: &(u128, Vec<u64>), parts: usize, keys: u64, replay: bool| -> Vec<Record> {
            let (number, messages) = request;
            let one = |(part, message): (usize, &u64)| {
                sequence += 1;
                let record = record(*number, i64::try_from(*number).unwrap() * 1000, &format!("{keys}/{message}"))
                    .part(u32::try_from(part).unwrap(), u32::try_from(parts).unwrap())
                    .saying(&format!("message {message}"));
                if replay { record.replayed(sequence) } else { record }
            };
            messages.iter().take(parts).enumerate().map(one).collect()
        };
        let first: Vec<Record> = requests.iter().flat_map(|request| read(request, request.1.len(), 0, false)).collect();
        outcomes(&db.store, &dice.shuffled(first)).await;
        for _ in 0..3 {
            let some: Vec<_> = dice.shuffled(requests.clone()).into_iter().take(12).collect();
            for batch in some.chunks(1 + usize::try_from(dice.below(6)).unwrap()) {
                let mut records = Vec::new();
                for request in batch {
                    let fewer = usize::try_from(dice.below(2)).unwrap();
                    records.extend(read(request, request.1.len().saturating_sub(fewer).max(1), 1, true));
                }
                outcomes(&db.store, &records).await;
            }
        }
        let last: Vec<usize> = requests
            .iter()
            .map(|(_, messages)| messages.len().saturating_sub(usize::from(seed % 2 == 0)).max(1))
            .collect();
        for _ in 0..2 {
            for (request, parts) in requests.iter().zip(&last) {
                outcomes(&db.store, &read(request, *parts, 1, true)).await;
            }
        }
        let mut expected: Vec<String> = requests
            .iter()
            .zip(&last)
            .flat_map(|((_, messages), parts)| messages.iter().take(*parts).map(|message| format!("message {message}")))
            .collect();
        expected.sort();
        expected.dedup();
        let live = "SELECT text FROM messages WHERE superseded_at IS NULL ORDER BY text COLLATE \"C\"";
        assert_eq!(db.texts(live).await, expected, "seed {seed}");
    }
}
