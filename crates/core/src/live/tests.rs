use alloc::format;
use alloc::vec;

use super::*;
use crate::cutoff::IssuedAt;

fn keys(n: u8) -> TokenKeys {
    let keys = vec![(Key::from_bytes([n; 11]), 0)];
    TokenKeys { keys, issued_at: IssuedAt::UNKNOWN, auth_time: IssuedAt::UNKNOWN, not_covered: false }
}

fn change(n: u8) -> [Change; 1] {
    [Change { key: Key::from_bytes([n; 11]), cutoff: None }]
}

fn seen(live: &mut Live, raw: &str, n: u8) -> TokenId {
    live.raw(raw.as_bytes(), || Ok(keys(n))).unwrap()
}

#[test]
fn a_repeated_token_is_not_read_again() {
    let mut live = Live::new([1; 16]);
    let first = seen(&mut live, "a", 1);
    let again = live.raw(b"a", || panic!("read again")).unwrap();
    assert_eq!(first, again);
    assert_eq!(live.raw(b"b", || Err(Malformed::Payload)), Err(Malformed::Payload));
    assert_eq!(live.raw(b"b", || Err(Malformed::Header)), Err(Malformed::Header));
}

#[test]
fn tokens_that_end_alike_are_different_ones() {
    let mut live = Live::new([1; 16]);
    let end = "e".repeat(HASHED_BYTES);
    let (one, other) = (format!("one{end}"), format!("two{end}"));
    let open = seen(&mut live, &one, 1);
    assert!(live.attach(open, 10));
    let idle = seen(&mut live, &other, 2);
    assert_ne!(open, idle);
    assert_eq!(live.keys(open), Some(&keys(1)));
    assert_eq!(live.keys(idle), Some(&keys(2)));
    // The latest is found, and takes the place of one without streams.
    assert_eq!(live.raw(other.as_bytes(), || panic!("read again")), Ok(idle));
    let again = seen(&mut live, &one, 1);
    assert_eq!((again, live.idle, live.by_hash.len()), (idle, 1, 1));
    // The stream of the first ends still, and nothing of it stays.
    assert_eq!(live.touched(&change(1)), [open]);
    live.detach(open, 10);
    assert_eq!((live.idle, live.bytes > 0, live.free.len()), (1, true, 1));
    assert_eq!(live.raw(one.as_bytes(), || panic!("read again")), Ok(again));
}

#[test]
fn open_streams_are_found_before_and_after_they_are_indexed() {
    let mut live = Live::new([1; 16]);
    let (one, two) = (seen(&mut live, "a", 1), seen(&mut live, "b", 2));
    assert!(live.attach(one, 10));
    assert!(live.attach(one, 11));
    // Not indexed yet.
    assert_eq!(live.touched(&change(1)), [one]);
    assert_eq!(live.touched(&change(2)), []);
    live.tick();
    assert!(live.attach(two, 20));
    live.tick();
    assert_eq!(live.touched(&change(1)), [one]);
    assert_eq!(live.touched(&change(2)), [two]);
    assert_eq!(live.touched(&change(3)), []);
    assert_eq!(live.streams(one), [10, 11]);

    live.detach(one, 10);
    assert_eq!(live.touched(&change(1)), [one]);
    live.detach(one, 11);
    assert_eq!(live.touched(&change(1)), []);
    assert_eq!(live.open(), [two]);
}

#[test]
fn a_token_idle_at_the_tick_is_not_indexed() {
    let mut live = Live::new([1; 16]);
    let one = seen(&mut live, "a", 1);
    assert!(live.attach(one, 10));
    live.detach(one, 10);
    live.tick();
    assert_eq!(live.touched(&change(1)), []);
    assert!(live.attach(one, 11));
    assert_eq!(live.touched(&change(1)), [one]);
}

#[test]
fn a_flood_of_tokens_neither_grows_the_table_nor_evicts_what_is_in_use() {
    let mut live = Live::new([1; 16]);
    let open = seen(&mut live, "open", 1);
    assert!(live.attach(open, 10));
    for n in 0..3 * MAX_TOKENS {
        seen(&mut live, &format!("garbage {n}"), 2);
        if n % 1000 == 0 {
            seen(&mut live, "useful", 3);
        }
    }
    assert!(live.slots.len() <= MAX_TOKENS + 2, "{}", live.slots.len());
    assert!(live.by_hash.len() <= MAX_TOKENS + 2);
    assert_eq!(live.raw(b"open", || panic!("evicted")).unwrap(), open);
    live.raw(b"useful", || panic!("evicted")).unwrap();
}

/// As requests do it: each token has a stream for a moment.
fn requested(live: &mut Live, raw: &str, n: u8) -> bool {
    let mut new = false;
    let token = live.raw(raw.as_bytes(), || {
        new = true;
        Ok(keys(n))
    });
    let token = token.unwrap();
    assert!(live.attach(token, 99));
    live.detach(token, 99);
    new
}

#[test]
fn a_token_that_comes_once_evicts_nothing_and_one_that_comes_twice_is_remembered() {
    let mut live = Live::new([1; 16]);
    let useful = |n: usize| format!("useful {n}");
    (0..MAX_TOKENS).for_each(|n| assert!(requested(&mut live, &useful(n), 1)));
    let remembered = |live: &Live| live.slots.iter().filter(|slot| slot.keys == keys(1)).count();
    for n in 0..5 * MAX_TOKENS {
        requested(&mut live, &format!("garbage {n}"), 2);
        assert!(live.slots.len() <= MAX_TOKENS && live.idle < MAX_TOKENS);
    }
    // Few of the garbage are taken for tokens that have come before.
    assert!(remembered(&live) > MAX_TOKENS / 4 * 3, "{}", remembered(&live));
    assert!(requested(&mut live, "late", 3));
    assert!(requested(&mut live, "late", 3));
    assert!(!requested(&mut live, "late", 3));
    assert_eq!((live.idle, live.by_hash.len()), (MAX_TOKENS - 1, MAX_TOKENS - 1));
}

#[test]
fn long_tokens_are_bounded_by_their_bytes() {
    let mut live = Live::new([1; 16]);
    for n in 0..1_000 {
        seen(&mut live, &format!("{n}{}", "x".repeat(60_000)), 1);
    }
    assert!(live.bytes <= MAX_BYTES, "{}", live.bytes);
}

#[test]
fn open_tokens_do_not_count_among_the_idle_ones() {
    let mut live = Live::new([1; 16]);
    for n in 0..MAX_TOKENS + 100 {
        let token = seen(&mut live, &format!("open {n}"), 1);
        assert!(live.attach(token, u32::try_from(n).unwrap()));
    }
    // Two tokens of one request, with the table full of open ones: neither drives the other out.
    let first = seen(&mut live, "first", 2);
    assert!(live.attach(first, 70_000));
    let second = seen(&mut live, "second", 3);
    assert_ne!(first, second);
    assert_eq!(live.keys(first), Some(&keys(2)));
    live.detach(first, 70_000);
    assert_eq!(live.raw(b"first", || panic!("evicted")).unwrap(), first);
    assert_eq!(live.raw(b"second", || panic!("evicted")).unwrap(), second);
    for n in 0..MAX_TOKENS + 100 {
        let token = live.raw(format!("open {n}").as_bytes(), || panic!("evicted")).unwrap();
        live.detach(token, u32::try_from(n).unwrap());
    }
    assert!((MAX_TOKENS - 1..=MAX_TOKENS).contains(&live.idle), "{}", live.idle);
    assert_eq!(live.idle, live.by_hash.len());
}

#[test]
fn verified_claims_live_with_their_stream() {
    let mut live = Live::new([1; 16]);
    let token = live.verified(0, keys(2));
    assert!(live.attach(token, 10));
    live.tick();
    assert_eq!(live.touched(&change(2)), [token]);
    live.detach(token, 10);
    assert_eq!((live.touched(&change(2)), live.free.len(), live.idle), (vec![], 1, 0));
}

#[test]
fn new_shapes_reread_what_is_open_and_forget_the_rest() {
    let mut live = Live::new([1; 16]);
    let idle = seen(&mut live, "idle", 1);
    let open = seen(&mut live, "open", 2);
    assert!(live.attach(open, 10));
    let verified = live.verified(4, keys(3));
    assert!(live.attach(verified, 11));
    live.tick();
    let reread = live.reread(|raw| {
        assert_eq!(raw, b"open");
        Ok(keys(7))
    });
    let again = Verified { token: verified, stream: 11, place: 4 };
    assert_eq!(reread, Reread { verified: vec![again], malformed: vec![] });
    live.set_keys(verified, keys(8));
    live.tick();
    assert_eq!(live.touched(&change(7)), [open]);
    assert_eq!(live.touched(&change(8)), [verified]);
    assert_eq!(live.touched(&change(2)), []);
    let mut read = false;
    live.raw(b"idle", || {
        read = true;
        Ok(keys(1))
    })
    .unwrap();
    assert!(read, "{idle:?}");
}

#[test]
fn a_token_that_has_become_malformed_is_not_remembered() {
    let mut live = Live::new([1; 16]);
    let token = seen(&mut live, "groups", 1);
    assert!(live.attach(token, 10));
    assert_eq!(live.reread(|_| Err(Malformed::TooManyValues)).malformed, [token]);
    assert_eq!(live.streams(token), [10]);
    // The next request reads it again, and fails again.
    assert_eq!(live.raw(b"groups", || Err(Malformed::TooManyValues)), Err(Malformed::TooManyValues));
    live.detach(token, 10);
    assert_eq!((live.free.len(), live.by_hash.len()), (1, 0));
}

#[test]
fn open_streams_with_large_tokens_are_bounded() {
    let mut live = Live::new([1; 16]);
    let large = |n: usize| alloc::format!("{n:0>60000}");
    let mut taken = 0;
    while taken < 10_000 {
        let token = live.raw(large(taken).as_bytes(), || Ok(keys(1))).unwrap();
        if !live.attach(token, u32::try_from(taken).unwrap()) {
            break;
        }
        taken += 1;
    }
    assert_eq!(taken, MAX_OPEN_BYTES / (60_000 + INDEXED_KEY_BYTES));
    // Small ones still come in, the others' further streams too, and large ones again once there is room.
    let small = seen(&mut live, "small", 2);
    assert!(live.attach(small, 50_000));
    let first = live.raw(large(0).as_bytes(), || panic!("read again")).unwrap();
    assert!(live.attach(first, 60_000));
    let verified = TokenKeys { keys: vec![(Key::from_bytes([3; 11]), 0); 10_000], ..TokenKeys::default() };
    let crowded = live.verified(0, verified);
    assert!(!live.attach(crowded, 70_000));
    for n in 0..20_u32 {
        let token = live.raw(large(n as usize).as_bytes(), || panic!("read again")).unwrap();
        live.detach(token, n);
    }
    let token = live.raw(large(20_000).as_bytes(), || Ok(keys(1))).unwrap();
    assert!(live.attach(token, 80_000));
}
