//! From JSON to what follows from it, by the rules of a webhook.

use jiff::Timestamp;
use portcullis_core::json::Json;

use crate::clock::UnixMillis;
use crate::config::webhooks::{Action, EventTarget, Pointer, Rule, Webhook};
use crate::control::{Effect, NewRevocation, Target, printable};
use crate::inlets::{Cause, Inlets, subject};

/// Times beyond it are in milliseconds: as seconds they would be in the year 5138.
const MAX_SECONDS: f64 = 1e11;

/// The events of a body.
pub(super) fn events<'a>(webhook: &Webhook, body: &'a Json<'a>) -> Result<&'a [Json<'a>], Cause> {
    let Some(pointer) = &webhook.events else { return Ok(std::slice::from_ref(body)) };
    match pointer.find(body) {
        Some(Json::List(events)) => Ok(events),
        _ => {
            let detail = format!("there is no list of events at `{pointer}`");
            Err(Cause::rule("events_missing", detail))
        }
    }
}

/// What follows from events, and in a few words how many there were.
pub(super) fn apply(
    webhook: &Webhook,
    events: &[Json<'_>],
    inlets: &Inlets,
) -> Result<(Vec<Effect>, String), Cause> {
    let mut effects = Vec::new();
    let mut matched = 0_usize;
    for (index, event) in events.iter().enumerate() {
        let rules = webhook.rules.iter().enumerate();
        let Some((number, rule)) = rules.into_iter().find(|(_, rule)| first_unmet(rule, event).is_none())
        else {
            continue;
        };
        matched += 1;
        let read = effects_of(rule, event, webhook, inlets);
        let (event, rule) = (index + 1, number + 1);
        effects.extend(read.map_err(|cause| match cause {
            Cause::Rule { code, detail } => {
                Cause::rule(code, format!("event {event}, rule {rule}: {detail}"))
            }
            other => other,
        })?);
    }
    Ok((effects, summary(webhook, events, matched)))
}

fn summary(webhook: &Webhook, events: &[Json<'_>], matched: usize) -> String {
    match (events, matched) {
        ([event], 0) => {
            let unmet = webhook.rules.iter().enumerate().filter_map(|(index, rule)| {
                let (at, found) = first_unmet(rule, event)?;
                Some(format!("rule {} wants another {at} than {found}", index + 1))
            });
            format!("no rule matches: {}", unmet.take(3).collect::<Vec<_>>().join(", "))
        }
        (events, matched) => format!("{matched} of {} events match a rule", events.len()),
    }
}

/// The first condition that does not hold, and what is there instead.
fn first_unmet<'a>(rule: &'a Rule, event: &Json<'_>) -> Option<(&'a Pointer, String)> {
    let holds = |at: &Pointer, any_of: &[crate::config::webhooks::Scalar]| {
        at.find(event).is_some_and(|json| any_of.iter().any(|scalar| scalar.equals(json)))
    };
    let unmet = rule.when.iter().find(|condition| !holds(&condition.at, &condition.any_of))?;
    let found = match unmet.at.find(event) {
        None => "nothing".to_owned(),
        Some(json) => plain(json).map_or_else(|| json.type_name().to_owned(), |text| format!("`{text}`")),
    };
    Some((&unmet.at, printable(&found, 64)))
}

fn effects_of(
    rule: &Rule,
    event: &Json<'_>,
    webhook: &Webhook,
    inlets: &Inlets,
) -> Result<Vec<Effect>, Cause> {
    let reason = format!("webhook {}", webhook.name);
    let cutoff_ms = rule.time.as_ref().map(|pointer| time(event, pointer)).transpose()?;
    let effect = |target| match rule.action {
        Action::Revoke => {
            Effect::Revoke(NewRevocation { cutoff_ms, reason: reason.clone(), ..NewRevocation::new(target) })
        }
        Action::RevokeUntilReinstated => Effect::Revoke(NewRevocation {
            until_reinstated: true,
            reason: reason.clone(),
            ..NewRevocation::new(target)
        }),
        Action::Reinstate => Effect::ReinstateOwn { target, reason: reason.clone() },
    };
    Ok(targets(&rule.subject, event, webhook, inlets)?.into_iter().map(effect).collect())
}

fn targets(
    subject: &EventTarget,
    event: &Json<'_>,
    webhook: &Webhook,
    inlets: &Inlets,
) -> Result<Vec<Target>, Cause> {
    let issuer = webhook.issuer.clone();
    let value = |pointer| value(event, pointer);
    Ok(vec![match subject {
        EventTarget::Session(pointer) => Target::Session { issuer, sid: value(pointer)? },
        EventTarget::Subject(pointer) => Target::Subject { issuer, sub: value(pointer)? },
        EventTarget::Token(pointer) => Target::Token { issuer, jti: value(pointer)? },
        EventTarget::Client(pointer) => Target::Client { issuer, client_id: value(pointer)? },
        EventTarget::Claims(claims) => {
            let pairs = claims.iter().map(|(name, pointer)| Ok((name.clone(), value(pointer)?)));
            let mut pairs = pairs.collect::<Result<Vec<_>, Cause>>()?;
            pairs.push(("iss".into(), issuer));
            Target::Claims(pairs)
        }
        EventTarget::Email(pointer) => {
            let address = value(pointer)?;
            // The configuration warrants that it is configured.
            let Some(issuer) = inlets.directory().find(&issuer) else {
                return Err(Cause::rule("issuer_unknown", "the issuer is not configured"));
            };
            return Ok(subject::by_email(&address, &issuer, inlets.control())?);
        }
    }])
}

fn value(event: &Json<'_>, pointer: &Pointer) -> Result<String, Cause> {
    let wrong = |found| {
        Cause::rule(
            "value_missing",
            format!("at `{pointer}` there is {found} instead of a text or a whole number"),
        )
    };
    let json = pointer.find(event).ok_or_else(|| wrong("nothing"))?;
    plain(json).filter(|text| !text.is_empty()).ok_or_else(|| wrong(json.type_name()))
}

/// A text or a whole number as a text.
pub(super) fn plain(json: &Json<'_>) -> Option<String> {
    match json {
        Json::Text(text) => Some(text.to_string()),
        // Whole ones beyond 2^53 are `Whole`.
        Json::Number(number) if number.fract() == 0.0 => Some(format!("{number:.0}")),
        Json::Whole(number) => Some(number.to_string()),
        _ => None,
    }
}

/// RFC 3339, or seconds or milliseconds since 1970.
fn time(event: &Json<'_>, pointer: &Pointer) -> Result<UnixMillis, Cause> {
    let parsed = match pointer.find(event) {
        Some(Json::Text(text)) => {
            text.parse::<Timestamp>().ok().and_then(|at| UnixMillis::try_from(at.as_millisecond()).ok())
        }
        Some(Json::Number(number)) if (0.0..1e15).contains(number) => {
            let millis = if *number < MAX_SECONDS { *number * 1_000.0 } else { *number };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just now")]
            Some(millis as UnixMillis)
        }
        _ => None,
    };
    parsed.ok_or_else(|| Cause::rule("time_invalid", format!("at `{pointer}` there is no time")))
}
