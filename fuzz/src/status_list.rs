//! Status lists: every entry is what a naive reader finds, and what is accepted can be written and read again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::deflate::compress_to_vec_zlib;
use portcullis::inlets::status_list::{Entries, MAX_LIST_BYTES, TokenStatus};
use portcullis_core::json::Json;

/// Longest list that the naive reader is given, in bytes.
const MAX_NAIVE: usize = 8 * 1024;

/// The first byte says what follows: a list of so many bits, a zlib stream, or the member `status_list`.
pub fn run(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let bits = [1, 2, 4, 8][usize::from(first % 4)];
    match first / 4 % 3 {
        0 => {
            let list = read(bits, &compress_to_vec_zlib(rest, first % 10));
            check(&list.unwrap_or_else(|error| panic!("{rest:?}: {error}")), bits, rest);
        }
        1 => {
            let Ok(list) = read(bits, rest) else { return };
            let plain = miniz_oxide::inflate::decompress_to_vec_zlib(rest);
            let plain = plain.unwrap_or_else(|error| panic!("{rest:?} was accepted: {error}"));
            assert_eq!(list.len() * bits, plain.len() * 8);
            // The naive reader takes long where little becomes much.
            if plain.len() <= MAX_NAIVE {
                check(&list, bits, &plain);
            }
        }
        _ => {
            let Ok(json) = Json::parse(rest) else { return };
            let Ok(list) = Entries::read(&json) else { return };
            assert!(list.len() <= MAX_LIST_BYTES * 8);
            assert!(list.not_valid().all(|(index, status)| list.status(index) == Some(status)));
        }
    }
}

fn read(bits: usize, compressed: &[u8]) -> Result<Entries, portcullis::inlets::Cause> {
    let text = format!(r#"{{"bits":{bits},"lst":"{}"}}"#, URL_SAFE_NO_PAD.encode(compressed));
    Entries::read(&Json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}")))
}

fn check(list: &Entries, bits: usize, bytes: &[u8]) {
    // Every bit of the list, least significant first.
    let all: Vec<bool> = bytes.iter().flat_map(|byte| (0..8).map(move |at| byte >> at & 1 == 1)).collect();
    let naive: Vec<TokenStatus> = all
        .chunks(bits)
        .map(|entry| match entry.iter().rev().fold(0, |value, bit| value * 2 + u32::from(*bit)) {
            0 => TokenStatus::Valid,
            1 => TokenStatus::Invalid,
            2 => TokenStatus::Suspended,
            _ => TokenStatus::Other,
        })
        .collect();
    assert_eq!((list.len(), list.is_empty()), (naive.len(), naive.is_empty()));
    assert_eq!(list.status(naive.len()), None);
    let seen: Vec<Option<TokenStatus>> = (0..naive.len()).map(|index| list.status(index)).collect();
    assert_eq!(seen, naive.iter().copied().map(Some).collect::<Vec<_>>());
    let expect: Vec<(usize, TokenStatus)> =
        naive.into_iter().enumerate().filter(|(_, status)| *status != TokenStatus::Valid).collect();
    assert_eq!(list.not_valid().collect::<Vec<_>>(), expect);
    let again = read(bits, &compress_to_vec_zlib(bytes, 1));
    assert_eq!(again.as_ref(), Ok(list));
}
