//! Security event tokens (RFC 8417) as Shared Signals 1.0 has them.

use std::time::Duration;

use portcullis_core::UnixSeconds;
use portcullis_core::json::{Json, Members};

use super::super::subject::Speaker;
use super::super::{Cause, Inlets, Protocol as _, Reading, Refused};
use super::Ssf;
use super::streams::{News, Stream};
use super::subject::{self, About, Naming};
use crate::auth::Caller;
use crate::clock::UnixMillis;
use crate::config::{Action, EventKind, Issuer, Leniency};
use crate::control::{Effect, MessageId, NewRevocation};
use crate::issuers::{Claims, Jws, JwtError};

const TYPE: &str = "secevent+jwt";
/// Names of the verification event: of SSF 1.0, of its drafts, and of RISC before it.
const VERIFICATION: [&str; 3] = [
    "https://schemas.openid.net/secevent/ssf/event-type/verification",
    "https://schemas.openid.net/secevent/sse/event-type/verification",
    "https://schemas.openid.net/secevent/risc/event-type/verification",
];
const STREAM_UPDATED: [&str; 2] = [
    "https://schemas.openid.net/secevent/ssf/event-type/stream-updated",
    "https://schemas.openid.net/secevent/sse/event-type/stream-updated",
];
/// Longest time after `iat`: so long a token must be remembered. Transmitters keep what was not acknowledged for
/// days.
const MAX_AGE: Duration = Duration::from_secs(30 * 86_400);
/// Most events of one token; there should be one.
const MAX_EVENTS: usize = 8;
/// Times above this are milliseconds: as seconds, it is in the year 5138.
const LAST_IN_SECONDS: f64 = 1e11;
/// The end of the year 9999.
const LAST_MS: f64 = 253_402_300_799_999.0;

/// A verified token.
#[derive(Debug)]
pub(super) struct Heard {
    /// What it says, for the front door.
    pub(super) reading: Reading,
    /// What it says of its stream.
    pub(super) news: Vec<News>,
}

/// What is known while a token is read.
struct Context<'a> {
    stream: &'a Stream,
    transmitter: &'a Issuer,
    naming: Naming<'a>,
    claims: Claims<'a>,
    iat: UnixSeconds,
}

/// Verifies a token of a stream, and says what follows from it. Changes nothing.
pub(super) async fn read(inlets: &Inlets, stream: &Stream, raw: &str) -> Result<Heard, Refused> {
    let settings = &stream.settings;
    let directory = inlets.directory();
    let issuer = |name: &str| {
        directory.find(name).ok_or_else(|| Cause::from(JwtError::UnknownIssuer(name.to_owned())))
    };
    let (transmitter, tokens_of) = (issuer(&settings.transmitter)?, issuer(&settings.tokens_of)?);
    let unread = |cause: Cause| Refused { issuer: settings.transmitter.clone(), ..Refused::unread(cause) };
    let jws = Jws::parse(raw).map_err(|error| unread(error.into()))?;
    let claims = jws.claims();
    let refused = |cause: Cause| Refused {
        message_id: claims.text("jti").ok().flatten().unwrap_or_default().into(),
        signal: signal(claims),
        ..unread(cause)
    };
    let verified = async {
        jws.expect_type(TYPE, transmitter.messages.allows(Leniency::GenericTyp))?;
        if claims.issuer()? != transmitter.issuer {
            return Err(JwtError::Issuer.into());
        }
        directory.verify(&jws, &transmitter.issuer).await?;
        let id = identify(claims, stream, &transmitter, inlets.control().time_ms())?;
        let critical = stream.live().critical;
        let naming = Naming {
            speaker: Speaker { signer: &transmitter.issuer, tokens_of: &tokens_of },
            control: inlets.control(),
            critical: critical.as_ref(),
            untyped: transmitter.messages.allows(Leniency::UntypedSubject),
        };
        let iat = claims.required_seconds("iat")?;
        let context = Context { stream, transmitter: &transmitter, naming, claims, iat };
        let (effects, news) = context.events()?;
        let reading = Reading {
            issuer: transmitter.issuer.clone(),
            id: Some(id),
            signal: signal(claims),
            effects,
            caller: Caller::speaker(Ssf.name(), &transmitter.issuer, [tokens_of.issuer.clone()]),
        };
        Ok(Heard { reading, news })
    };
    verified.await.map_err(refused)
}

/// Whether a token is for this stream and of its time, and what tells it from others.
fn identify(
    claims: Claims<'_>,
    stream: &Stream,
    transmitter: &Issuer,
    now_ms: UnixMillis,
) -> Result<MessageId, Cause> {
    let messages = &transmitter.messages;
    claims.expect_audience(&stream.settings.audiences)?;
    // Section 4.1: a token must not pass for an ID token or an access token.
    for (name, leniency) in [("sub", Leniency::SetSub), ("exp", Leniency::SetExp)] {
        if claims.get(name).is_some() && !messages.allows(leniency) {
            return Err(JwtError::ClaimForbidden(name).into());
        }
    }
    claims.expect_valid_at(now_ms, messages.message_skew)?;
    let iat = claims.required_seconds("iat")?;
    let jti = claims.required_text("jti")?;
    let remember_until = iat.saturating_add(MAX_AGE.as_secs() + messages.message_skew.as_secs());
    if now_ms / 1_000 > remember_until {
        return Err(JwtError::TooOld((now_ms / 1_000).saturating_sub(iat)).into());
    }
    Ok(MessageId { text: stream.message_id(jti), remember_until })
}

/// The names of the events, for the audit trail.
fn signal(claims: Claims<'_>) -> String {
    let Some(Json::Object(events)) = claims.get("events") else { return String::new() };
    let names = events.names().take(MAX_EVENTS).map(|uri| uri.rsplit('/').next().unwrap_or_default());
    names.collect::<Vec<_>>().join(", ")
}

impl Context<'_> {
    /// What follows from all events.
    fn events(&self) -> Result<(Vec<Effect>, Vec<News>), Cause> {
        let events = match self.claims.get("events") {
            None => return Err(JwtError::ClaimMissing("events").into()),
            Some(Json::Object(events)) if (1..=MAX_EVENTS).contains(&events.len()) => events,
            Some(_) => {
                let detail = format!("events is not an object with 1 to {MAX_EVENTS} events");
                return Err(Cause::rule("events_wrong", detail));
            }
        };
        // Also of events that are not acted on: Shared Signals 1.0 has every token say of whom it is.
        if self.claims.get("sub_id").is_none() && !self.transmitter.messages.allows(Leniency::SubjectInEvent)
        {
            return Err(JwtError::ClaimMissing("sub_id").into());
        }
        let (mut effects, mut news) = (Vec::new(), Vec::new());
        for (uri, event) in events.iter() {
            let Json::Object(members) = event else {
                return Err(Cause::rule("events_wrong", format!("event `{uri}` is not an object")));
            };
            let kind = EventKind::ALL.into_iter().find(|kind| kind.uri() == uri);
            match kind {
                Some(kind) => effects.extend(self.effects(kind, event)?),
                None => news.extend(self.news(uri, event, members)?),
            }
        }
        Ok((effects, news))
    }

    fn effects(&self, kind: EventKind, event: &Json<'_>) -> Result<Vec<Effect>, Cause> {
        let subject = self.subject(event)?;
        let at_ms = self.event_time(event)?;
        let action = self.stream.settings.action(kind);
        let complies = kind == EventKind::DeviceComplianceChange
            && event.get("current_status").and_then(Json::as_text) == Some("compliant");
        if action == Action::Ignore || complies {
            return Ok(Vec::new());
        }
        let of_session = matches!(kind, EventKind::SessionRevoked | EventKind::SessionsRevoked);
        let about = subject::resolve(subject, &self.naming, of_session)?;
        let reason = format!("{kind} by the identity provider");
        Ok(self.follow(action, about, at_ms, &reason))
    }

    fn follow(&self, action: Action, about: About, at_ms: UnixMillis, reason: &str) -> Vec<Effect> {
        let targets = match about {
            About::Session(target) | About::Token(target) => {
                if matches!(action, Action::Ignore | Action::Reinstate) {
                    return Vec::new();
                }
                let revocation = NewRevocation { reason: reason.into(), ..NewRevocation::new(target) };
                return vec![Effect::Revoke(revocation)];
            }
            About::Holder(targets) => targets.into_iter(),
        };
        match action {
            Action::Ignore | Action::Sessions => Vec::new(),
            Action::Reinstate => {
                let enabled = |target| Effect::Reinstate { target, reason: reason.into() };
                targets.map(|target| Effect::AsOf(at_ms, Box::new(enabled(target)))).collect()
            }
            // What the provider has issued until then, by its own clock.
            Action::CutOff => targets
                .map(|target| {
                    Effect::Revoke(NewRevocation {
                        cutoff_ms: Some(at_ms),
                        cutoff_ahead_ms: self.transmitter.messages.skew_ms(),
                        reason: reason.into(),
                        ..NewRevocation::new(target)
                    })
                })
                .collect(),
            Action::UntilReinstated => {
                let disabled = |target| {
                    Effect::RevokeOnce(NewRevocation {
                        until_reinstated: true,
                        reason: reason.into(),
                        ..NewRevocation::new(target)
                    })
                };
                targets.map(|target| Effect::AsOf(at_ms, Box::new(disabled(target)))).collect()
            }
        }
    }

    /// Of whom an event speaks: the token says it, or, where that is accepted, the event alone.
    fn subject<'e>(&'e self, event: &'e Json<'e>) -> Result<&'e Json<'e>, Cause> {
        let in_event = || match self.transmitter.messages.allows(Leniency::SubjectInEvent) {
            true => event.get("subject"),
            false => None,
        };
        let subject = self.claims.get("sub_id").or_else(in_event);
        subject.ok_or_else(|| JwtError::ClaimMissing("sub_id").into())
    }

    /// When it happened: `event_timestamp` in seconds or, as Okta has it, in milliseconds; else `toe` (RFC 8417),
    /// else when the token was issued.
    fn event_time(&self, event: &Json<'_>) -> Result<UnixMillis, Cause> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range")]
        match event.get("event_timestamp") {
            None => Ok(self.claims.seconds("toe")?.unwrap_or(self.iat).saturating_mul(1_000)),
            Some(Json::Number(time)) if (0.0..=LAST_IN_SECONDS).contains(time) => {
                Ok((*time * 1_000.0) as UnixMillis)
            }
            Some(Json::Number(time)) if (0.0..=LAST_MS).contains(time) => Ok(*time as UnixMillis),
            Some(_) => Err(JwtError::ClaimType("event_timestamp", "a time").into()),
        }
    }

    /// What an event about the stream itself says. Others are not acted on.
    fn news(&self, uri: &str, event: &Json<'_>, members: &Members<'_>) -> Result<Option<News>, Cause> {
        let text = |name: &str| members.get(name).and_then(Json::as_text);
        if VERIFICATION.contains(&uri) {
            self.subject_of_stream(event)?;
            let state = match members.get("state") {
                None | Some(Json::Null) => None,
                Some(Json::Text(state)) => Some(state.as_ref()),
                Some(_) => return Err(JwtError::ClaimType("state", "a text").into()),
            };
            if !self.stream.accepts_state(state) {
                let detail = "state is not what the last verification was asked for with";
                return Err(Cause::rule("state_wrong", detail));
            }
            return Ok(state.map(|_| News::Verified));
        }
        if STREAM_UPDATED.contains(&uri) {
            self.subject_of_stream(event)?;
            let status = text("status").ok_or(JwtError::ClaimMissing("status"))?;
            if !["enabled", "paused", "disabled"].contains(&status) {
                return Err(JwtError::ClaimType("status", "enabled, paused or disabled").into());
            }
            let reason = text("reason").unwrap_or_default();
            let reason = crate::control::printable(reason, 200);
            return Ok(Some(News::Updated { status: status.into(), reason }));
        }
        Ok(None)
    }

    /// The subject of an event about the stream is the stream, by its id as an opaque identifier; where subjects are
    /// in events, it may be left out. The id is compared where the transmitter was asked for it.
    fn subject_of_stream(&self, event: &Json<'_>) -> Result<(), Cause> {
        let subject = match self.subject(event) {
            Err(_) if self.transmitter.messages.allows(Leniency::SubjectInEvent) => return Ok(()),
            subject => subject?,
        };
        let text = |name| subject.get(name).and_then(Json::as_text);
        let (Some("opaque"), Some(id)) = (text("format"), text("id")) else {
            return Err(JwtError::ClaimType("sub_id", "the opaque identifier of a stream").into());
        };
        if !self.stream.may_be_called(id) {
            return Err(Cause::rule("stream_wrong", "sub_id is not the id of this stream"));
        }
        Ok(())
    }
}
