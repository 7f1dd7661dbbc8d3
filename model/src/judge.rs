//! The judge, for a batch of one record: `keys.sql`, `judge.sql` and `messages.sql`. [`judge`] decides, [`write()`] does.
//!
//! Not here: rows that a new reading no longer yields (`supersede.sql`), the two kinds of rows, dead letters. In a batch
//! of one nobody is judged "again", since nobody else of the batch can change the key.

use crate::bounds::Bounds;
use crate::state::{Decision, Delivery, Key, KeyChange, Record, Repeat, Row, Tables, Window};
use crate::variant::Variant;

/// How a record ends, and what becomes of its key.
pub fn judge(bounds: &Bounds, tables: &Tables, delivery: Delivery) -> Decision {
    let id = delivery.message.record;
    let key = bounds.key(delivery.message);
    let after = |window: Window| bounds.after(window.holder, id);
    let has_no_beginning = bounds.is(Variant::WindowHasNoBeginning);

    // keys.sql: a key that nobody holds goes to the record.
    let held = tables.keys[key];
    let holder = held.unwrap_or(Window { holder: id, erased: false });
    let holds = holder.holder == id;
    let later = after(holder) >= bounds.window;
    let older = after(holder) <= -bounds.window && !has_no_beginning;
    let past = past_window(bounds, tables, key, id);

    let row = tables.rows[id];
    let ended = tables.repeats[id];
    let (reopened, follows) = ended.map_or((false, false), |ended| reopens(tables, key, delivery, ended));

    let by_holder = !holds
        && !later
        && !older
        && past.is_none_or(|past| past.holder != id && (after(holder) >= 0 || after(past) < 0));
    let original = match (ended, past) {
        (Some(ended), _) if reopened && follows => ended.original,
        _ if by_holder => holder.holder,
        (_, Some(past)) => past.holder,
        (_, None) => id,
    };
    let original_is_erased = if reopened && follows {
        false
    } else if by_holder || (holds && past.is_none()) {
        holder.erased
    } else {
        past.is_some_and(|past| past.erased)
    };

    let has_ended = ended.is_some() && !reopened;
    let is_row = row.is_some() || !(has_ended || original_is_erased || original != id);
    let is_its_own_past = past.is_some_and(|past| past.holder == id);
    let change = match (is_row, holds) {
        (true, true) if held.is_none() => KeyChange::Insert,
        (true, false) if later => KeyChange::Take,
        (true, false) if older && !is_its_own_past => KeyChange::Past,
        // Where nobody held it, keys.sql gave it to this record, and it is given back within the same transaction.
        (false, true) if !holder.erased && held.is_some() => KeyChange::Drop,
        _ => KeyChange::Nothing,
    };
    let is_newer = |row: Row| delivery.sequence > row.sequence || bounds.is(Variant::AnyReplayCorrects);
    Decision {
        writes: is_row
            && row.is_none_or(|row| !(original == id && original_is_erased) && delivery.sequence > 0 && is_newer(row)),
        repeat: (!is_row && !has_ended).then_some(Repeat { original, key, erased: original_is_erased }),
        change,
    }
}

/// The one of the key's other windows that a record lies in: its own first, then the nearest that began before it.
fn past_window(bounds: &Bounds, tables: &Tables, key: Key, id: Record) -> Option<Window> {
    let of_key = tables.past.iter().filter(|(of, _)| *of == key).map(|(_, window)| *window);
    of_key.filter(|past| past.holder == id || bounds.after(past.holder, id).abs() < bounds.window).min_by_key(|past| {
        let after = bounds.after(past.holder, id);
        (past.holder != id, after < 0, -bounds.records[past.holder].received_at)
    })
}

/// Whether a replay opens the ending of a repeat again, and whether the original has the repeat's new key, too.
fn reopens(tables: &Tables, key: Key, delivery: Delivery, ended: Repeat) -> (bool, bool) {
    if delivery.sequence == 0 || ended.erased {
        return (false, false);
    }
    if tables.repeats[ended.original].is_some_and(|original| !original.erased) {
        return (true, false);
    }
    let original = tables.rows[ended.original];
    let reopened = original.is_some_and(|original| ended.key != key && original.key != ended.key);
    (reopened, original.is_some_and(|original| original.key == key))
}

/// Does what was decided, and commits.
pub fn write(bounds: &Bounds, tables: &mut Tables, delivery: Delivery, decision: Decision) {
    let id = delivery.message.record;
    let key = bounds.key(delivery.message);
    let own = Window { holder: id, erased: false };
    let keeps_past = !bounds.is(Variant::PastWindowsAreForgotten);
    match decision.change {
        KeyChange::Nothing => {}
        KeyChange::Insert => {
            tables.keys[key].get_or_insert(own);
        }
        KeyChange::Take => {
            let before = tables.keys[key].replace(own);
            if keeps_past {
                remember(tables, key, before.unwrap_or(own));
            }
        }
        KeyChange::Past => {
            if keeps_past {
                remember(tables, key, own);
            }
        }
        KeyChange::Drop => tables.keys[key] = None,
    }
    if let Some(repeat) = decision.repeat {
        tables.repeats[id] = Some(repeat);
    }
    if decision.writes {
        // The ending that it had elsewhere goes (`clear_other_endings`).
        tables.repeats[id] = None;
        tables.rows[id] = Some(Row { key, run: delivery.message.run, sequence: delivery.sequence });
    }
}

/// `INSERT INTO past_keys .. ON CONFLICT DO NOTHING`.
fn remember(tables: &mut Tables, key: Key, window: Window) {
    if !tables.past.iter().any(|(of, past)| *of == key && past.holder == window.holder) {
        tables.past.push((key, window));
    }
}

/// Writes a record that is a row because its claim says so. Only in broken variants.
pub fn write_unjudged(bounds: &Bounds, tables: &mut Tables, delivery: Delivery) {
    let key = bounds.key(delivery.message);
    let row = Row { key, run: delivery.message.run, sequence: delivery.sequence };
    tables.rows[delivery.message.record].get_or_insert(row);
    tables.keys[key].get_or_insert(Window { holder: delivery.message.record, erased: false });
}

/// What an erasure does: no row, an entry that says so, a mark on every window of the record.
pub fn erase(bounds: &Bounds, tables: &mut Tables, id: Record) {
    let Some(row) = tables.rows[id].take() else { return };
    if !bounds.is(Variant::ErasureLeavesNoEntry) {
        tables.repeats[id] = Some(Repeat { original: id, key: row.key, erased: true });
    }
    if bounds.is(Variant::ErasureForgetsTheKey) {
        tables.keys.iter_mut().filter(|key| key.is_some_and(|window| window.holder == id)).for_each(|key| *key = None);
        tables.past.retain(|(_, window)| window.holder != id);
    }
    let past = tables.past.iter_mut().map(|(_, window)| window);
    for window in tables.keys.iter_mut().flatten().chain(past).filter(|window| window.holder == id) {
        window.erased = true;
    }
}
