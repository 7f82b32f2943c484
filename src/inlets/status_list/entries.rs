//! The compressed list in a status list token (draft-ietf-oauth-status-list, section 4).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};
use portcullis_core::json::Json;

use super::super::Cause;
use crate::issuers::JwtError;

/// Most bytes of a list that is not compressed any more: eight million entries of one bit, one of eight.
pub const MAX_LIST_BYTES: usize = 1024 * 1024;

const VALID: u8 = 0;
const INVALID: u8 = 1;
const SUSPENDED: u8 = 2;

/// The entries of a list, from index 0 on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entries {
    /// Of one entry: 1, 2, 4 or 8.
    bits: u8,
    bytes: Vec<u8>,
}

/// What an entry says of its token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenStatus {
    /// It is to be accepted, as far as the list goes.
    Valid,
    /// It is not, for good.
    Invalid,
    /// It is not, for now.
    Suspended,
    /// What an application gives a meaning to, or nobody.
    Other,
}

impl Entries {
    /// Reads `status_list`.
    ///
    /// # Errors
    /// When it is not an object with `bits` and `lst`, or `lst` is not a zlib stream in base64url, or is larger
    /// than [`MAX_LIST_BYTES`].
    pub fn read(status_list: &Json<'_>) -> Result<Self, Cause> {
        let bits = match status_list.get("bits") {
            None => return Err(JwtError::ClaimMissing("status_list/bits").into()),
            Some(Json::Number(bits)) => [1_u8, 2, 4, 8].into_iter().find(|known| f64::from(*known) == *bits),
            Some(_) => None,
        };
        let bits = bits.ok_or(JwtError::ClaimType("status_list/bits", "1, 2, 4 or 8"))?;
        let lst = match status_list.get("lst") {
            None => return Err(JwtError::ClaimMissing("status_list/lst").into()),
            Some(Json::Text(lst)) => lst,
            Some(_) => return Err(JwtError::ClaimType("status_list/lst", "a text").into()),
        };
        let compressed = URL_SAFE_NO_PAD
            .decode(lst.as_bytes())
            .map_err(|_| JwtError::ClaimType("status_list/lst", "base64url without padding"))?;
        let bytes = decompress_to_vec_zlib_with_limit(&compressed, MAX_LIST_BYTES).map_err(|error| {
            if error.status == TINFLStatus::HasMoreOutput {
                let detail =
                    format!("the list has more than {MAX_LIST_BYTES} bytes when it is not compressed");
                return Cause::rule("list_too_large", detail);
            }
            Cause::rule("list_compression", "lst is not a whole zlib stream")
        })?;
        Ok(Self { bits, bytes })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_mul(self.in_a_byte())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What the entry of that index says; `None` beyond the end.
    #[must_use]
    pub fn status(&self, index: usize) -> Option<TokenStatus> {
        let byte = self.bytes.get(index.checked_div(self.in_a_byte())?)?;
        let place = index.checked_rem(self.in_a_byte())?;
        Some(TokenStatus::of(self.value(*byte, place)))
    }

    /// Index and status of all entries that are not valid, in their order.
    pub fn not_valid(&self) -> impl Iterator<Item = (usize, TokenStatus)> {
        let bytes = self.bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
        let entries = bytes.flat_map(move |(at, byte)| {
            let first = at.saturating_mul(self.in_a_byte());
            (0..self.in_a_byte()).map(move |place| (first.saturating_add(place), self.value(*byte, place)))
        });
        entries.filter(|(_, value)| *value != VALID).map(|(index, value)| (index, TokenStatus::of(value)))
    }

    fn in_a_byte(&self) -> usize {
        usize::from(8_u8.checked_div(self.bits).unwrap_or(1))
    }

    /// Section 4.1: the first entry has the least significant bits.
    fn value(&self, byte: u8, place: usize) -> u8 {
        let shift = u32::try_from(place).unwrap_or_default().saturating_mul(self.bits.into());
        let mask = u8::MAX >> (8 - self.bits);
        byte.checked_shr(shift).unwrap_or_default() & mask
    }
}

impl TokenStatus {
    /// Section 7.1.
    const fn of(value: u8) -> Self {
        match value {
            VALID => Self::Valid,
            INVALID => Self::Invalid,
            SUSPENDED => Self::Suspended,
            _ => Self::Other,
        }
    }

    /// Whether a token of this status is to be rejected.
    #[must_use]
    pub const fn is_rejected(self) -> bool {
        matches!(self, Self::Invalid | Self::Suspended)
    }
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec_zlib;

    use super::*;

    fn list(bits: u8, bytes: &[u8]) -> Json<'static> {
        let lst = URL_SAFE_NO_PAD.encode(compress_to_vec_zlib(bytes, 9));
        Json::parse(format!(r#"{{"bits":{bits},"lst":"{lst}"}}"#).as_bytes()).unwrap().into_owned()
    }

    #[test]
    fn the_lists_of_the_draft_are_read() {
        // Section 4.1, figures for one and two bits.
        let check = |text: &str, expect: &[u8]| {
            let entries = Entries::read(&Json::parse(text.as_bytes()).unwrap()).unwrap();
            let seen: Vec<TokenStatus> = (0..entries.len()).filter_map(|at| entries.status(at)).collect();
            let expect: Vec<TokenStatus> = expect.iter().map(|value| TokenStatus::of(*value)).collect();
            assert_eq!(seen, expect);
        };
        check(r#"{"bits":1,"lst":"eNrbuRgAAhcBXQ"}"#, &[1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
        check(r#"{"bits":2,"lst":"eNo76fITAAPfAgc"}"#, &[1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]);
    }

    #[test]
    fn entries_have_the_least_significant_bits_first() {
        let check = |bits, byte: u8, expect: &[u8]| {
            let entries = Entries::read(&list(bits, &[0, byte])).unwrap();
            let per_byte = 8 / usize::from(bits);
            assert_eq!(entries.len(), 2 * per_byte);
            let seen: Vec<_> = (per_byte..2 * per_byte).filter_map(|at| entries.status(at)).collect();
            assert_eq!(seen, expect.iter().map(|value| TokenStatus::of(*value)).collect::<Vec<_>>());
            assert_eq!(entries.status(2 * per_byte), None);
            let not_valid: Vec<usize> = entries.not_valid().map(|(at, _)| at).collect();
            let expect = (0..).zip(expect).filter(|(_, value)| **value != 0).map(|(at, _)| per_byte + at);
            assert_eq!(not_valid, expect.collect::<Vec<_>>());
        };
        check(1, 0b1001_0001, &[1, 0, 0, 0, 1, 0, 0, 1]);
        check(2, 0b1110_0100, &[0, 1, 2, 3]);
        check(4, 0xf2, &[2, 15]);
        check(8, 0x01, &[1]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let check = |text: &str, expect: &str| {
            let error = Entries::read(&Json::parse(text.as_bytes()).unwrap()).unwrap_err();
            assert_eq!(error.code(), expect, "{text}: {error}");
        };
        check("7", "claim_missing");
        check(r#"{"lst":"eNrbuRgAAhcBXQ"}"#, "claim_missing");
        for bits in ["0", "3", "16", "1.5", "\"1\"", "-1"] {
            check(&format!(r#"{{"bits":{bits},"lst":"eNrbuRgAAhcBXQ"}}"#), "claim_type");
        }
        check(r#"{"bits":1}"#, "claim_missing");
        check(r#"{"bits":1,"lst":7}"#, "claim_type");
        check(r#"{"bits":1,"lst":"eNrbuRgAAhcBXQ=="}"#, "claim_type");
        check(r#"{"bits":1,"lst":"eNrbuRgAAhcBXA"}"#, "list_compression");
        check(r#"{"bits":1,"lst":"eNrb"}"#, "list_compression");
        check(r#"{"bits":1,"lst":""}"#, "list_compression");
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = list(1, &vec![0; 50 * 1024 * 1024]);
        assert_eq!(Entries::read(&bomb).unwrap_err().code(), "list_too_large");
        assert_eq!(Entries::read(&list(1, &vec![0; MAX_LIST_BYTES])).unwrap().len(), MAX_LIST_BYTES * 8);
    }
}
