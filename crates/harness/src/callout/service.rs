//! The target of a gRPC call: a serialized `GrpcService`, or the name of a cluster.
//!
//! Envoy first tries to parse the bytes as the message, and takes them for a name only if that fails. Since
//! unknown fields are no failure, some names parse.

use crate::header_map::HeaderMap;

/// Messages deeper than this do not parse.
const MAX_DEPTH: u32 = 100;

/// What matters of a `GrpcService`.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Service {
    /// None for a service without a target.
    pub(super) cluster: Option<String>,
    /// The `max_receive_message_length`, in bytes.
    pub(super) max_message: Option<usize>,
    pub(super) metadata: HeaderMap,
}

/// `GrpcService { EnvoyGrpc envoy_grpc = 1; repeated HeaderValue initial_metadata = 5; }`
pub(super) fn parse(bytes: &[u8]) -> Option<Service> {
    let mut service = Service::default();
    for (number, value) in fields(bytes)? {
        match (number, value) {
            (1, Field::Bytes(bytes)) => {
                service.cluster = Some(string(bytes, 1)?);
                service.max_message = max_message(bytes)?;
            }
            (5, Field::Bytes(bytes)) => service.metadata.add(string(bytes, 1)?, string(bytes, 2)?),
            (2..=4 | 6, Field::Bytes(bytes)) => drop(fields(bytes)?),
            _ => {}
        }
    }
    Some(service)
}

/// `EnvoyGrpc { UInt32Value max_receive_message_length = 4; }`, where zero is no limit.
fn max_message(bytes: &[u8]) -> Option<Option<usize>> {
    let mut max = 0;
    for (number, value) in fields(bytes)? {
        let (4, Field::Bytes(bytes)) = (number, value) else { continue };
        for (number, value) in fields(bytes)? {
            if let (1, Field::Number(value)) = (number, value) {
                // A parser takes the lower half.
                max = value & u64::from(u32::MAX);
            }
        }
    }
    Some(usize::try_from(max).ok().filter(|max| *max > 0))
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
pub(crate) enum Field<'a> {
    Bytes(&'a [u8]),
    Number(u64),
    Other,
}

/// The fields of a message, in order; none if it does not parse.
pub(crate) fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
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
        0 => Field::Number(varint(bytes)?),
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
        let cluster = Some("edge".to_owned());
        assert_eq!(parse(bytes), Some(Service { cluster, metadata, max_message: None }));
    }

    #[test]
    fn a_service_may_limit_its_messages() {
        let max = |bytes: &[u8]| parse(bytes).and_then(|service| service.max_message);
        assert_eq!(max(b"\x0a\x0b\x0a\x04edge\x22\x03\x08\x80\x02"), Some(256));
        assert_eq!(max(b"\x0a\x0a\x0a\x04edge\x22\x02\x08\x00"), None);
    }

    #[test]
    fn names_that_are_not_messages_are_names() {
        for name in ["control_plane", "outbound|80||svc.ns.svc.cluster.local", "a", "portcullis"] {
            assert_eq!(parse(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn some_names_parse_as_a_message_without_a_target() {
        for name in ["users", "envoy", "media", "email", "edge1", "ut-cp", "inventory", "idp-cache"] {
            assert_eq!(parse(name.as_bytes()), Some(Service::default()), "{name}");
        }
    }
}
