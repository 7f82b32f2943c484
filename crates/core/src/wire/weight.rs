//! What decoding a message would cost, before it is decoded.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::WireError;

/// The shapes in a message of the control plane: all that decoding makes larger than it is on the wire, two
/// bytes at a time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Weight {
    /// How many there are.
    pub shapes: usize,
    /// What they take on the wire, bytes.
    pub bytes: usize,
}

/// `header` and `delta` of a control message; shapes have the same number in both.
const WITH_SHAPES: [u32; 2] = [1, 3];
const SHAPES: u32 = 3;

impl Weight {
    /// Of an encoded control message.
    ///
    /// # Errors
    /// When it is no protobuf.
    pub fn of(message: &[u8]) -> Result<Self, WireError> {
        let mut weight = Self::default();
        each(message, |field, bytes| {
            if !WITH_SHAPES.contains(&field) {
                return Ok(());
            }
            each(bytes, |field, shape| {
                if field == SHAPES {
                    weight.shapes = weight.shapes.saturating_add(1);
                    weight.bytes = weight.bytes.saturating_add(shape.len());
                }
                Ok(())
            })
        })?;
        Ok(weight)
    }
}

/// Every length-delimited field of a message.
fn each(
    mut rest: &[u8],
    mut field: impl FnMut(u32, &[u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    while !rest.is_empty() {
        let (number, kind) = decode_key(&mut rest)?;
        if kind != WireType::LengthDelimited {
            skip_field(kind, number, &mut rest, DecodeContext::default())?;
            continue;
        }
        let len = usize::try_from(decode_varint(&mut rest)?).unwrap_or(usize::MAX);
        let cut = rest.split_at_checked(len);
        let (bytes, after) = cut.ok_or_else(|| WireError::Encoding("it ends too early".into()))?;
        field(number, bytes)?;
        rest = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use prost::Message;

    use super::*;
    use crate::wire::edge::control_message::Message as Control;
    use crate::wire::edge::{ControlMessage, Delta, Header, Shape, SnapshotInfo};

    fn weight(message: Control) -> Weight {
        Weight::of(&ControlMessage { message: Some(message) }.encode_to_vec()).unwrap()
    }

    #[test]
    fn shapes_are_weighed_wherever_they_stand() {
        let shapes = vec![Shape::default(), Shape { kind: 1, ..Shape::default() }];
        let header =
            Header { shapes: shapes.clone(), snapshot: Some(SnapshotInfo::default()), ..Header::default() };
        assert_eq!(weight(Control::Header(header.clone())), Weight { shapes: 2, bytes: 2 });
        let delta = Delta { from_version: 7, removed: vec![0; 16], shapes, ..Delta::default() };
        assert_eq!(weight(Control::Delta(delta)), Weight { shapes: 2, bytes: 2 });
        // A header that stands twice is one with all its shapes.
        let mut twice = ControlMessage { message: Some(Control::Header(header)) }.encode_to_vec();
        twice.extend(twice.clone());
        assert_eq!(Weight::of(&twice), Ok(Weight { shapes: 4, bytes: 4 }));
        for end in 1..twice.len() {
            // Whole or cut, it is weighed or refused.
            let _ = Weight::of(twice.get(..end).unwrap());
        }
        assert!(Weight::of(b"\x0a\xff").is_err());
    }
}
