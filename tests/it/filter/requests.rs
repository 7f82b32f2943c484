//! The fuzz targets' inputs as whole requests through the compiled filter, and changed ones: it finds malformed
//! what core does, natively, and never traps.
//!
//! Not a libFuzzer target: coverage does not reach into the wasm, and core's own targets have it.

use std::path::Path;

use portcullis_core::extract::{Found, from_cookie, from_header, from_query};
use portcullis_core::token::{Decoded, Token};
use proxy_wasm_harness::{Envoy, State};

use super::support::{Plane, code, synced};

/// Where a token stands: the first byte of an input, as for the target `token`.
const PLACES: [&str; 4] = [
    r#"{"header":"authorization","scheme":"Bearer"}"#,
    r#"{"header":"x-token"}"#,
    r#"{"cookie":"at"}"#,
    r#"{"query":"access_token"}"#,
];

fn is_malformed(place: usize, values: &[&[u8]]) -> bool {
    let joined = values.join(&b","[..]);
    let found: Found<'_> = match place {
        0 => from_header(&[&joined], Some("Bearer")),
        1 => from_header(values, None),
        2 => from_cookie(values, "at"),
        _ => from_query(values[0], "access_token"),
    };
    let reads = |raw: &[u8]| {
        std::str::from_utf8(raw).is_ok_and(|raw| Token::read(raw, &mut Decoded::default()).is_ok())
    };
    found.map_or(true, |raw| raw.is_some_and(|raw| !reads(&raw)))
}

#[track_caller]
fn check(envoy: &Envoy, place: usize, input: &[u8]) {
    let values: Vec<&[u8]> =
        if place == 3 { vec![input] } else { input.split(|byte| *byte == b'\n').collect() };
    let name = ["authorization", "x-token", "cookie", ":path"][place];
    let request = envoy.worker(0).get("/");
    let exchange = values.iter().fold(request, |request, value| request.header(name, value)).send();
    let expect = if is_malformed(place, &values) { State::Replied } else { State::Forwarded };
    let shown = String::from_utf8_lossy(input);
    assert_eq!(exchange.state(), expect, "{} in {shown:?}: {:?}", PLACES[place], code(&exchange));
    exchange.finish();
}

#[test]
fn the_compiled_filter_finds_malformed_what_core_does() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/core/fuzz/corpus/token");
    let mut files: Vec<_> = corpus.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut random = 7_u64;
    let mut next = |bound: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % bound
    };
    let envoys = PLACES.map(|place| synced(&format!(r#","tokens":[{place}]"#), &Plane::new()).0);
    let mut tried = 0;
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        let Some((place, input)) = bytes.split_first().filter(|(_, input)| !input.is_empty()) else {
            continue;
        };
        let place = usize::from(place % 4);
        check(&envoys[place], place, input);
        for _ in 0..12 {
            let mut changed = input.to_vec();
            let at = next(changed.len());
            match next(3) {
                0 => changed[at] ^= u8::try_from(1 + next(255)).unwrap(),
                1 => changed.insert(at, b" \t,;=+/~.%\"B\n"[next(13)]),
                _ => drop(changed.remove(at)),
            }
            if !changed.is_empty() {
                check(&envoys[place], place, &changed);
            }
            tried += 1;
        }
    }
    assert!(tried > 500, "{tried}");
    envoys.iter().for_each(Envoy::assert_clean);
}
