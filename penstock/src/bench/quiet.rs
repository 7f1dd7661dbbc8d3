//! Waits until no worker has anything before it or in hand.
//!
//! What a reader would get wrong: that every request has an ending does not mean that nothing changes any more. What a
//! killed worker had committed and not acknowledged is delivered again when its time is up, and only then would it show
//! whether it doubles.

use std::time::Duration;

use runtime::nats::Nats;
use runtime::stream_info::{ConsumerInfo, InfoError};
use runtime::topology::STREAMS;
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(250);

/// Waits for `patience`, and as long as the broker itself waits for an answer; false where somebody is still at work.
pub(crate) async fn quiet(nats: &Nats, patience: Duration) -> Result<bool, InfoError> {
    let began = Instant::now();
    let mut ack_wait = Duration::ZERO;
    loop {
        // In the order of the flow: what one has passed on lies before the next by the time that one is asked.
        let mut all_idle = true;
        for (stream, consumer) in consumers() {
            let info = nats.consumer_info(stream, consumer).await?;
            ack_wait = ack_wait.max(Duration::from_nanos(info.config.ack_wait));
            all_idle &= is_idle(&info);
        }
        if all_idle || began.elapsed() > patience + ack_wait {
            return Ok(all_idle);
        }
        sleep(POLL).await;
    }
}

/// Every worker's consumer, in the order of the flow.
fn consumers() -> impl Iterator<Item = (&'static str, &'static str)> {
    STREAMS.iter().flat_map(|stream| stream.consumers.iter().map(|consumer| (stream.name, consumer.name)))
}

fn is_idle(consumer: &ConsumerInfo) -> bool {
    consumer.num_pending == 0 && consumer.num_ack_pending == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_before_those_that_pass_on_to_them() {
        let order: Vec<&str> = consumers().map(|(_, consumer)| consumer).collect();
        let place = |name: &str| order.iter().position(|known| *known == name).unwrap();
        for (earlier, later) in [
            ("normalizer-webhook", "dedup"),
            ("normalizer-replay", "dedup"),
            ("dedup", "persister"),
            ("dedup", "persister-duplicates"),
            ("persister", "persister-dead-letters"),
            ("persister-duplicates", "persister-dead-letters"),
        ] {
            assert!(place(earlier) < place(later), "{earlier} and {later}");
        }
    }

    #[test]
    fn what_is_in_hand_counts_as_much_as_what_waits() {
        let consumer = |pending: u64, in_hand: u64| -> ConsumerInfo {
            let position = serde_json::json!({ "consumer_seq": 0, "stream_seq": 0 });
            serde_json::from_value(serde_json::json!({
                "config": {}, "ack_floor": position, "delivered": position,
                "num_pending": pending, "num_ack_pending": in_hand,
            }))
            .unwrap()
        };
        assert!(is_idle(&consumer(0, 0)));
        assert!(!is_idle(&consumer(1, 0)) && !is_idle(&consumer(0, 1)));
    }
}
