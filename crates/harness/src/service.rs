//! The target of a gRPC call: a serialized `GrpcService`, or the name of a cluster.
//!
//! Envoy first tries to parse the bytes as the message, and takes them for a name only if that fails. Since
//! unknown fields are no failure, some names parse.

use crate::header_map::HeaderMap;

/// Messages deeper than this do not parse.
const MAX_DEPTH: u32 = 100;

#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// It parses as a `GrpcService`, perhaps one without a target.
    Service {
        cluster: Option<String>,
        metadata: HeaderMap,
    },
    Name(String),
}

pub(crate) fn parse(bytes: &[u8]) -> Target {
    match service(bytes) {
        Some((cluster, metadata)) => Target::Service { cluster, metadata },
        None => Target::Name(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// `GrpcService { EnvoyGrpc envoy_grpc = 1; repeated HeaderValue initial_metadata = 5; }`
fn service(bytes: &[u8]) -> Option<(Option<String>, HeaderMap)> {
    let (mut cluster, mut metadata) = (None, HeaderMap::new());
    for (number, value) in fields(bytes)? {
        match (number, value) {
            (1, Field::Bytes(bytes)) => cluster = Some(string(bytes, 1)?),
            (5, Field::Bytes(bytes)) => metadata.add(string(bytes, 1)?, string(bytes, 2)?),
            (2..=4 | 6, Field::Bytes(bytes)) => drop(fields(bytes)?),
            _ => {}
        }
    }
    Some((cluster, metadata))
}

/// A string field of a message; proto3 wants UTF-8.
fn string(bytes: &[u8], wanted: u64) -> Option<String> {
    let mut found = String::new();
    for (number, value) in fields(bytes)? {
        if let (true, Field::Bytes(bytes)) = (number == wanted, value) {
            found = String::from_utf8(bytes.to_vec()).ok()?;
        }
    }
    Some(found)
}

/// The value of a field, as far as a parser that does not know it can tell.
#[derive(Debug)]
enum Field<'a> {
    Bytes(&'a [u8]),
    Other,
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        fields.push(field(&mut bytes, MAX_DEPTH)?);
    }
    Some(fields)
}

fn field<'a>(bytes: &mut &'a [u8], depth: u32) -> Option<(u64, Field<'a>)> {
    let tag = varint(bytes)?;
    let number = tag >> 3;
    if number == 0 || tag > u64::from(u32::MAX) {
        return None;
    }
    let value = match tag & 7 {
        0 => varint(bytes).map(|_| Field::Other)?,
        1 => take(bytes, 8).map(|_| Field::Other)?,
        2 => {
            let size = usize::try_from(varint(bytes)?).ok()?;
            Field::Bytes(take(bytes, size)?)
        }
        3 => group(bytes, number, depth.checked_sub(1)?)?,
        5 => take(bytes, 4).map(|_| Field::Other)?,
        _ => return None,
    };
    Some((number, value))
}

/// A group ends with its own number under wire type 4.
fn group<'a>(bytes: &mut &'a [u8], number: u64, depth: u32) -> Option<Field<'a>> {
    loop {
        let mut ahead = *bytes;
        let tag = varint(&mut ahead)?;
        if tag & 7 == 4 {
            *bytes = ahead;
            return (tag >> 3 == number).then_some(Field::Other);
        }
        field(bytes, depth)?;
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(size)?;
    *bytes = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_names_its_cluster_and_metadata() {
        let bytes = b"\x0a\x06\x0a\x04edge\x2a\x06\x0a\x01K\x12\x01v";
        let metadata = HeaderMap::from([("k", "v")]);
        assert_eq!(parse(bytes), Target::Service { cluster: Some("edge".to_owned()), metadata });
    }

    #[test]
    fn names_that_are_not_messages_are_names() {
        for name in ["control_plane", "outbound|80||svc.ns.svc.cluster.local", "a", "portcullis"] {
            assert_eq!(parse(name.as_bytes()), Target::Name(name.to_owned()));
        }
    }

    #[test]
    fn some_names_parse_as_a_message_without_a_target() {
        for name in ["users", "envoy", "media", "email", "edge1", "ut-cp", "inventory", "idp-cache"] {
            let without = Target::Service { cluster: None, metadata: HeaderMap::new() };
            assert_eq!(parse(name.as_bytes()), without, "{name}");
        }
    }
}
