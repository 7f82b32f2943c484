//! The control plane itself: clock, disk, ports, issuers, and who sends it messages.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::certificate;
use super::finding::{Code, Finding};
use super::plane::Plane;
use crate::api::model::{DiskSpace, Issuer, LogSize, Moment};
use crate::cli::time;

/// Clocks that NTP keeps differ by less.
const CLOCKS_MS: u64 = 5_000;
/// A disk with so much left is never nearly full; one with less than [`LEAST_BYTES`] always is.
const ENOUGH_BYTES: u64 = 5 * 1024 * 1024 * 1024;
const LEAST_BYTES: u64 = 256 * 1024 * 1024;
/// The first fetch of an issuer's keys is over by then.
const STARTING_MS: u64 = 60_000;
/// Issuers that are named one by one.
const MOST_ISSUERS: usize = 20;

const SUBJECT: &str = "control plane";

pub(super) fn findings(plane: &Plane) -> Vec<Finding> {
    let status = &plane.status;
    let mut found = Vec::new();
    found.extend(clock(status.now, plane.asked));
    found.extend(status.disk.and_then(disk));
    found.extend(log(status.log));
    found.extend(plaintext(plane));
    found.extend(own_certificate(plane));
    found.extend(issuers(plane));
    found.extend(messages(plane));
    found
}

fn clock(theirs: Moment, (asked, answered): (Moment, Moment)) -> Option<Finding> {
    let early = asked.millis().saturating_sub(theirs.millis());
    let late = theirs.millis().saturating_sub(answered.millis());
    let (off, which) = if early > late { (early, "behind") } else { (late, "ahead of") };
    (off > CLOCKS_MS).then(|| {
        let seen = format!("its clock is {:?} {which} this machine's", Duration::from_secs(off / 1_000));
        Finding::new(Code::ClockDiffers, SUBJECT, seen)
    })
}

fn disk(disk: DiskSpace) -> Option<Finding> {
    let small = disk.free_bytes < ENOUGH_BYTES && disk.free_bytes < disk.total_bytes / 20;
    (small || disk.free_bytes < LEAST_BYTES).then(|| {
        let mib = |bytes: u64| bytes / (1024 * 1024);
        let seen = format!(
            "the disk of data_dir has {} MiB of {} MiB left",
            mib(disk.free_bytes),
            mib(disk.total_bytes)
        );
        Finding::new(Code::DiskNearlyFull, SUBJECT, seen)
    })
}

fn log(log: LogSize) -> Option<Finding> {
    let max = log.max_bytes?;
    (log.bytes >= max / 10 * 9).then(|| {
        let seen = format!("the log has {} of {max} bytes (log.max_bytes)", log.bytes);
        Finding::new(Code::LogNearlyFull, SUBJECT, seen)
    })
}

fn plaintext(plane: &Plane) -> Vec<Finding> {
    let open = plane.status.ports.iter().filter(|port| {
        let inside = port.address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
        !port.tls && !inside
    });
    let found = open.map(|port| {
        let seen = format!(
            "listen.{} is {} without TLS: keys cross the network in the clear",
            port.name, port.address
        );
        Finding::new(Code::Plaintext, SUBJECT, seen)
    });
    found.collect()
}

fn own_certificate(plane: &Plane) -> Vec<Finding> {
    let Some(shown) = &plane.status.certificate else { return Vec::new() };
    let valid = (shown.valid_from, shown.valid_until);
    let due =
        certificate::finding(Code::CertificateExpiring, SUBJECT, "its certificate", valid, plane.status.now);
    let reload = shown.failure.as_ref().map(|why| Finding::new(Code::CertificateReload, SUBJECT, why));
    due.into_iter().chain(reload).collect()
}

fn issuers(plane: &Plane) -> Vec<Finding> {
    let configured = &plane.issuers.issuers;
    if configured.is_empty() {
        let seen = "no issuer is configured, or none that this key may act on";
        return vec![Finding::new(Code::IssuerNone, SUBJECT, seen)];
    }
    let known: BTreeSet<&str> = configured.iter().map(|issuer| issuer.issuer.as_str()).collect();
    let used = plane.revocations.iter().filter_map(|revocation| revocation.issuer.as_deref());
    let strangers: BTreeSet<&str> = used.filter(|issuer| !known.contains(issuer)).collect();
    let strange = strangers.into_iter().take(MOST_ISSUERS).map(|issuer| {
        let seen = "revocations in force name it, and it is not configured";
        Finding::new(Code::IssuerUnconfigured, format!("issuer {issuer}"), seen)
    });
    let known = configured.iter().flat_map(|issuer| one_issuer(plane, issuer));
    known.chain(strange).collect()
}

fn one_issuer(plane: &Plane, issuer: &Issuer) -> Vec<Finding> {
    let (now, started) = (plane.status.now, plane.status.started_at);
    let subject = format!("issuer {}", issuer.issuer);
    let fetches = issuer.jwks_uri.is_some() || !issuer.audiences.is_empty();
    let settled = now.millis().saturating_sub(started.millis()) > STARTING_MS;
    let keys = match (issuer.keys_fetched_at, &issuer.keys_failure) {
        (None, Some(why)) => Some((Code::IssuerKeysMissing, format!("its keys were never fetched: {why}"))),
        (None, None) if fetches && settled => {
            Some((Code::IssuerKeysMissing, "its keys were never fetched".to_owned()))
        }
        (Some(at), Some(why)) => {
            let seen = format!("its keys are from {}, and cannot be fetched: {why}", time::relative(at, now));
            Some((Code::IssuerKeysStale, seen))
        }
        _ => None,
    };
    let ahead = issuer.clock_ahead_ms.filter(|ahead| *ahead > issuer.clock_skew_ms).map(|ahead| {
        let (ahead, skew) = (Duration::from_millis(ahead), Duration::from_millis(issuer.clock_skew_ms));
        let seen = format!(
            "its clock is ahead of the control plane's by {ahead:?} or more, and its clock_skew is {skew:?}"
        );
        (Code::IssuerClockAhead, seen)
    });
    Finding::all(&subject, keys.into_iter().chain(ahead))
}

fn messages(plane: &Plane) -> Vec<Finding> {
    let streams = plane.status.streams.iter().flat_map(|stream| {
        let subject = format!("stream {}", stream.name);
        let paused = stream.status.as_deref().filter(|status| *status != "enabled").map(|status| {
            Finding::new(Code::StreamPaused, subject.clone(), format!("its transmitter calls it {status}"))
        });
        let failing =
            stream.failure.as_ref().map(|why| Finding::new(Code::StreamFailing, subject.clone(), why));
        paused.into_iter().chain(failing)
    });
    let lists = plane.status.status_lists.iter().filter_map(|list| {
        let why = list.failure.as_ref()?;
        Some(Finding::new(Code::StatusListFailing, format!("status list {}", list.uri), why))
    });
    streams.chain(lists).collect()
}
