//! Durations as operators write them: `500ms`, `5s`, `15m`, `24h`, `90d`.

use std::time::Duration;

/// Longest duration: a hundred years, so that adding one to a time of day cannot overflow.
const MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A text is not a duration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DurationError {
    /// Not a whole number and a unit.
    #[error("write a whole number and a unit: 500ms, 5s, 15m, 24h, 90d")]
    Form,
    /// Over a hundred years.
    #[error("longer than a hundred years")]
    TooLong,
}

/// Reads a duration.
///
/// # Errors
/// When it is not one, or longer than a hundred years.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or(DurationError::Form)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(DurationError::Form),
    };
    if number.is_empty() {
        return Err(DurationError::Form);
    }
    let number: u64 = number.parse().map_err(|_| DurationError::TooLong)?;
    let duration = number.checked_mul(millis).map(Duration::from_millis).ok_or(DurationError::TooLong)?;
    if duration > MAX { Err(DurationError::TooLong) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let check = |text: &str, expect| assert_eq!(parse_duration(text), expect, "{text}");
        check("0s", Ok(Duration::ZERO));
        check("500ms", Ok(Duration::from_millis(500)));
        check("15m", Ok(Duration::from_secs(900)));
        check("90d", Ok(Duration::from_secs(90 * 86_400)));
        for text in ["", "s", "5", "5 s", "-5s", "1.5h", "5S", "1h30m", "+5s", "٣s"] {
            check(text, Err(DurationError::Form));
        }
        check("36501d", Err(DurationError::TooLong));
        check("99999999999999999999s", Err(DurationError::TooLong));
        check("18446744073709551615d", Err(DurationError::TooLong));
    }
}
