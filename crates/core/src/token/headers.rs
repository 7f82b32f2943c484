//! The headers of tokens seen lately. Those of all tokens that one key has signed are the same, so that a new token
//! seldom has a new one.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Malformed, read_object};
use crate::json::Json;
use crate::words;

/// Most headers that are remembered: few keys sign at a time. Each is at most as long as a token.
const MOST: usize = 4;

/// Headers by how tokens spell them.
#[derive(Debug, Default)]
pub(super) struct Headers {
    known: Vec<Header>,
    /// Which one the next new one takes the place of.
    oldest: usize,
    text: Vec<u8>,
}

/// A header that can be read.
#[derive(Debug)]
struct Header {
    part: Box<str>,
    key_id: Result<Option<Box<str>>, Malformed>,
}

impl Headers {
    /// The `kid` of a token's header, by the token's first part; `None` when that is no header.
    pub(super) fn key_id(&mut self, part: &str) -> Option<Result<Option<&str>, Malformed>> {
        let is_it = |header: &Header| words::are_equal(header.part.as_bytes(), part.as_bytes());
        let at = match self.known.iter().position(is_it) {
            Some(at) => at,
            None => {
                let key_id = read(part, &mut self.text)?;
                self.remember(Header { part: part.into(), key_id })
            }
        };
        self.known.get(at).map(|header| header.key_id.as_ref().map(Option::as_deref).map_err(|why| *why))
    }

    /// Where it is from now on.
    fn remember(&mut self, header: Header) -> usize {
        let at = self.oldest;
        match self.known.get_mut(at) {
            Some(place) => *place = header,
            None => self.known.push(header),
        }
        self.oldest = (at + 1) % MOST;
        at
    }
}

fn read(part: &str, text: &mut Vec<u8>) -> Option<Result<Option<Box<str>>, Malformed>> {
    Some(match read_object(part, text)?.get("kid") {
        None => Ok(None),
        Some(Json::Text(key_id)) => Ok(Some(key_id.as_ref().into())),
        // RFC 7515 section 4.1.4: a case-sensitive string.
        Some(_) => Err(Malformed::Header),
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn part(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn a_header_is_the_same_however_often_it_is_read() {
        let mut headers = Headers::default();
        for _ in 0..3 {
            assert_eq!(headers.key_id(&part(r#"{"kid":"k"}"#)), Some(Ok(Some("k"))));
            assert_eq!(headers.key_id(&part("{}")), Some(Ok(None)));
            assert_eq!(headers.key_id(&part(r#"{"kid":7}"#)), Some(Err(Malformed::Header)));
            assert_eq!(headers.key_id(&part("[]")), None);
            assert_eq!(headers.key_id(""), None);
        }
        assert_eq!(headers.known.len(), 3);
    }

    #[test]
    fn few_are_remembered_and_each_has_its_own_key() {
        let mut headers = Headers::default();
        for number in (0..100).chain(90..100) {
            let id = format!("k{number}");
            let part = part(&format!(r#"{{"kid":"{id}"}}"#));
            assert_eq!(headers.key_id(&part), Some(Ok(Some(id.as_str()))));
        }
        assert_eq!(headers.known.len(), MOST);
    }
}
