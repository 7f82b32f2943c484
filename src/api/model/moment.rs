//! Instants in JSON.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: written as RFC 3339 in UTC, read as RFC 3339 or as Unix seconds. Never before 1970.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-23T09:30:00Z")]
pub struct Moment(Timestamp);

/// Why a text or a number is no [`Moment`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected an RFC 3339 time such as 2026-11-23T09:30:00Z, or Unix seconds")]
pub struct MomentError;

impl Moment {
    /// The instant so many seconds after the epoch; the end of the calendar where it is later than that.
    #[must_use]
    pub fn from_seconds(unix_seconds: u64) -> Self {
        let at = i64::try_from(unix_seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        Self(at.unwrap_or(Timestamp::MAX))
    }

    /// The instant so many milliseconds after the epoch; the end of the calendar where it is later than that.
    #[must_use]
    pub fn from_millis(unix_millis: u64) -> Self {
        let at = i64::try_from(unix_millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
        Self(at.unwrap_or(Timestamp::MAX))
    }

    /// This instant by the system's clock.
    #[must_use]
    pub fn now() -> Self {
        Self(Timestamp::now())
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millisecond()).unwrap_or_default()
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub fn seconds(self) -> u64 {
        u64::try_from(self.0.as_second()).unwrap_or_default()
    }

    /// With three digits of a second, always: columns line up, and sort as text.
    #[must_use]
    pub fn to_millis_text(self) -> String {
        format!("{:.3}", self.0)
    }

    fn from_signed(unix_seconds: i64) -> Result<Self, MomentError> {
        Timestamp::from_second(unix_seconds).map_err(|_| MomentError).and_then(Self::not_before_the_epoch)
    }

    fn not_before_the_epoch(at: Timestamp) -> Result<Self, MomentError> {
        if at < Timestamp::UNIX_EPOCH { Err(MomentError) } else { Ok(Self(at)) }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        if let Ok(seconds) = text.parse::<i64>() {
            return Self::from_signed(seconds);
        }
        text.parse::<Timestamp>().map_err(|_| MomentError).and_then(Self::not_before_the_epoch)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MomentVisitor)
    }
}

struct MomentVisitor;

impl Visitor<'_> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an RFC 3339 time such as 2026-11-23T09:30:00Z, or whole Unix seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Moment, E> {
        Moment::from_signed(seconds).map_err(|_| E::invalid_value(Unexpected::Signed(seconds), &self))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Moment, E> {
        let signed = i64::try_from(seconds).ok().and_then(|seconds| Moment::from_signed(seconds).ok());
        signed.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(seconds), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expect: Option<u64>) {
        let read = serde_json::from_str::<Moment>(json).ok();
        assert_eq!(read.map(Moment::millis), expect, "{json}");
    }

    #[test]
    fn rfc_3339_and_unix_seconds_are_read() {
        check(r#""2023-11-14T22:13:20Z""#, Some(1_700_000_000_000));
        check(r#""2023-11-14T23:13:20.250+01:00""#, Some(1_700_000_000_250));
        check("1700000000", Some(1_700_000_000_000));
        check(r#""1700000000""#, Some(1_700_000_000_000));
        check("0", Some(0));
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for json in [r#""""#, r#""tomorrow""#, r#""2023-11-14""#, "1.5", "-1", "true", "null", "1e300"] {
            check(json, None);
        }
        // Milliseconds where seconds belong would be the year 55841.
        check("1700000000000", None);
        check(r#""1969-12-31T23:59:59Z""#, None);
    }

    #[test]
    fn it_is_written_in_utc_with_only_the_digits_it_needs() {
        assert_eq!(Moment::from_millis(1_700_000_000_250).to_string(), "2023-11-14T22:13:20.25Z");
        assert_eq!(
            serde_json::to_string(&Moment::from_seconds(1_700_000_000)).unwrap(),
            r#""2023-11-14T22:13:20Z""#
        );
    }

    #[test]
    fn milliseconds_are_three_digits() {
        let check = |millis, expect: &str| assert_eq!(Moment::from_millis(millis).to_millis_text(), expect);
        check(1_700_000_000_250, "2023-11-14T22:13:20.250Z");
        check(1_700_000_000_000, "2023-11-14T22:13:20.000Z");
    }

    #[test]
    fn a_time_beyond_the_calendar_is_its_end() {
        assert_eq!(Moment::from_seconds(u64::MAX), Moment::from_millis(u64::MAX));
    }
}
