//! Delivery by poll (RFC 8936).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portcullis_core::json::{Json, Members};
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing::{Instrument as _, info, warn};

use super::super::pause::{Pause, jittered};
use super::super::{Inlets, Protocol as _, serve};
use super::answer::{self, SetError};
use super::streams::Stream;
use super::transmitter::{Transmitter, TransmitterError};
use super::upkeep::REFRESH;
use super::{Ssf, take};
use crate::outbound::{Limits, OutboundError};
use crate::traces;

/// Most events that are asked for at a time.
const MAX_EVENTS: usize = 50;
/// What an answer may cost. A long poll is over when the transmitter has nothing in this time.
const LIMITS: Limits = Limits { bytes: 4 * 1024 * 1024, time: Duration::from_secs(90) };
/// A long poll without events that is answered sooner was none.
const SHORT: Duration = Duration::from_secs(1);

/// What becomes of events: told to the transmitter with the next question.
#[derive(Default)]
struct Outcomes {
    ack: Vec<String>,
    set_errs: BTreeMap<String, SetError>,
    /// Whether some were left for later.
    held_back: bool,
}

/// Asks for events again and again, and answers for those of the time before, until what the transmitter says of
/// itself is to be read again.
pub(super) async fn poll(
    inlets: &Inlets,
    stream: &Stream,
    transmitter: &Transmitter<'_>,
    (short, interval): (bool, Duration),
    pause: &mut Pause,
) -> Result<(), TransmitterError> {
    let began = Instant::now();
    let there = transmitter.find_only().await?;
    let why = "the stream has no endpoint_url to be polled at";
    let url = there.endpoint.ok_or(TransmitterError::Answer { url: there.stream_id, why })?;
    info!(stream = stream.settings.name, url, "polling");
    let mut outcomes = Outcomes::default();
    loop {
        let asked = Instant::now();
        let answer = match transmitter.poll(&url, &question(&outcomes, short), LIMITS).await {
            Err(TransmitterError::Outbound(OutboundError::Timeout(_))) if !short => Json::Null,
            answer => answer?,
        };
        stream.polled(inlets.control().time_ms());
        let none = Members::default();
        let sets = match answer.get("sets") {
            Some(Json::Object(sets)) => sets,
            None => &none,
            Some(_) => {
                return Err(TransmitterError::Answer { url, why: "`sets` is not an object" });
            }
        };
        let more = matches!(answer.get("moreAvailable"), Some(Json::Bool(true))) || !sets.is_empty();
        outcomes = Outcomes::default();
        for (jti, set) in sets.iter() {
            outcomes.add(inlets, stream, &url, jti, set.as_text().unwrap_or_default()).await;
        }
        if outcomes.held_back {
            // What was decided is not asked for again.
            if outcomes.has_any() {
                transmitter.poll(&url, &last_word(&outcomes), LIMITS).await?;
            }
            return Err(TransmitterError::HeldBack);
        }
        pause.reset();
        if more {
            continue;
        }
        // Nothing is left to be acknowledged.
        if began.elapsed() >= REFRESH {
            return Ok(());
        }
        if short || asked.elapsed() < SHORT {
            sleep(jittered(interval)).await;
        }
    }
}

fn question(outcomes: &Outcomes, short: bool) -> Value {
    telling(outcomes, json!({"maxEvents": MAX_EVENTS, "returnImmediately": short}))
}

/// Section 2.2 of RFC 8936: to answer for events, and ask for none.
fn last_word(outcomes: &Outcomes) -> Value {
    telling(outcomes, json!({"maxEvents": 0, "returnImmediately": true}))
}

fn telling(outcomes: &Outcomes, mut question: Value) -> Value {
    if let Value::Object(members) = &mut question {
        if !outcomes.ack.is_empty() {
            members.insert("ack".into(), json!(outcomes.ack));
        }
        if !outcomes.set_errs.is_empty() {
            members.insert("setErrs".into(), json!(outcomes.set_errs));
        }
    }
    question
}

impl Outcomes {
    fn has_any(&self) -> bool {
        !self.ack.is_empty() || !self.set_errs.is_empty()
    }

    /// Takes an event in; what is durable, known already, or passed over is acknowledged.
    async fn add(&mut self, inlets: &Inlets, stream: &Stream, url: &str, jti: &str, raw: &str) {
        let taken = take(inlets, stream, raw, Some(jti), url.to_owned());
        let refused = match taken.instrument(traces::polled(Ssf.name())).await {
            Ok(received) => {
                serve::count(&Ssf, inlets, &received);
                self.ack.push(jti.to_owned());
                return;
            }
            Err(refused) => refused,
        };
        // Not the event's fault: without an answer it comes again.
        if refused.cause.general().is_some() {
            warn!(stream = stream.settings.name, error = %refused.cause, "an event is left for later");
            self.held_back = true;
            return;
        }
        serve::record(&Ssf, inlets, &refused, url.to_owned()).await;
        if answer::is_passed_over(&refused.cause) {
            self.ack.push(jti.to_owned());
        } else {
            let (_, error) = Ssf.error(&refused.cause);
            self.set_errs.insert(jti.to_owned(), answer::document(error, &refused.cause));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_answers_only_where_there_are_some() {
        let outcomes = Outcomes { ack: vec!["a".into()], ..Outcomes::default() };
        assert_eq!(
            question(&outcomes, true),
            json!({"maxEvents": 50, "returnImmediately": true, "ack": ["a"]})
        );
        assert_eq!(
            question(&Outcomes::default(), false),
            json!({"maxEvents": 50, "returnImmediately": false})
        );
    }
}
