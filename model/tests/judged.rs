//! What the model's judge says, as a file that the real one is held to: the persister's test
//! `the_real_judge_says_what_the_model_says` reads it. So neither can change without the other.
//!
//! A line is a window, the times of four records, what came one after the other and how it ended, and the tables then.
//! `A0.2=updated` is record A, read with key 0 by the replay with number 2; `!A` erases A.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking, its helpers too")]

use std::fmt::Write as _;
use std::path::Path;

use model::bounds::{Bounds, COPIES, Intake};
use model::judge::{erase, judge, write};
use model::state::{Decision, Delivery, Message, Record, Repeat, Tables};

const GOLDEN: &str = include_str!("data/judged.txt");
const CASES: usize = 120;
const WINDOW: i8 = 3;

/// The same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

fn letter(record: Record) -> char {
    ['A', 'B', 'C', 'D'][record]
}

fn ending(before: &Tables, record: Record, decision: Decision) -> String {
    let named = |Repeat { original, erased, .. }: Repeat| {
        format!("{}:{}", if erased { "erased" } else { "repeat" }, letter(original))
    };
    match (decision.writes, before.rows[record], decision.repeat.or(before.repeats[record])) {
        (true, Some(_), _) => "updated".to_owned(),
        (true, None, _) => "stored".to_owned(),
        (false, Some(_), _) => "redelivered".to_owned(),
        (false, None, repeat) => named(repeat.unwrap()),
    }
}

fn tables(tables: &Tables) -> String {
    let mut text = String::new();
    for (record, row) in tables.rows.iter().enumerate() {
        if let Some(row) = row {
            write!(text, " row:{}{}.{}", letter(record), row.key, row.sequence).unwrap();
        }
    }
    for (record, repeat) in tables.repeats.iter().enumerate() {
        if let Some(Repeat { original, key, erased }) = repeat {
            let word = if *erased { "erased" } else { "repeat" };
            write!(text, " {word}:{}{key}>{}", letter(record), letter(*original)).unwrap();
        }
    }
    let held = tables.keys.iter().enumerate().filter_map(|(key, window)| Some(("key", key, (*window)?)));
    let past = tables.past.iter().map(|(key, window)| ("past", *key, *window));
    for (table, key, window) in held.chain(past) {
        write!(text, " {table}:{key}{}{}", letter(window.holder), if window.erased { "!" } else { "" }).unwrap();
    }
    text
}

fn case(dice: &mut Dice) -> String {
    let times: Vec<i8> = (0..4).map(|_| i8::try_from(dice.below(9)).unwrap()).collect();
    // Run 0 and 1 read key 0, run 2 reads key 1.
    let records: Vec<Intake> =
        times.iter().map(|received_at| Intake { key: 0, received_at: *received_at, replays: &[0, 1] }).collect();
    let bounds = Bounds { records: records.leak(), window: WINDOW, ..COPIES };
    let mut now = Tables::default();
    let mut line = format!("{WINDOW} {times:?} |").replace(", ", ",");
    for _ in 0..10 {
        let record = dice.below(4);
        if dice.below(12) == 0 && now.rows[record].is_some() {
            erase(&bounds, &mut now, record);
            write!(line, " !{}", letter(record)).unwrap();
            continue;
        }
        let run = [0, 0, 0, 1, 2][dice.below(5)];
        let sequence = if run == 0 { 0 } else { u8::try_from(1 + dice.below(4)).unwrap() };
        let message = Message { record, run };
        let delivery = Delivery { message, sequence };
        let decision = judge(&bounds, &now, delivery);
        let word = ending(&now, record, decision);
        write(&bounds, &mut now, delivery, decision);
        now.past.sort_unstable();
        write!(line, " {}{}.{sequence}={word}", letter(record), bounds.key(message)).unwrap();
    }
    line + " |" + &tables(&now)
}

#[test]
fn the_models_judge_says_what_it_always_said() {
    let mut dice = Dice(7);
    let text: String = (0..CASES).map(|_| case(&mut dice) + "\n").collect();
    if text != GOLDEN {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("judged.txt");
        std::fs::write(&path, text).unwrap();
        panic!("the model's judge has changed: compare {} with model/tests/data/judged.txt", path.display());
    }
}
