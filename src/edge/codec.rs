//! How messages get on the stream. What the control plane says is encoded once and shared by all subscribers, so what
//! goes to them is bytes; what edges say is decoded as usual.

use std::marker::PhantomData;

use bytes::{Buf as _, BufMut as _, Bytes};
use portcullis_core::wire::edge::{ControlMessage, EdgeMessage, control_message};
use prost::Message as _;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Bytes that gRPC has before each message of a stream.
const HEADER: usize = 5;

/// A `ControlMessage` as it is on the stream: encoded, after gRPC's header. Cheap to clone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Framed(pub(super) Bytes);

impl From<control_message::Message> for Framed {
    fn from(message: control_message::Message) -> Self {
        let message = ControlMessage { message: Some(message) }.encode_to_vec();
        let mut framed = Vec::with_capacity(HEADER + message.len());
        // Not compressed.
        framed.put_u8(0);
        // None comes near 4 GiB: they are cut into parts of 64 KiB.
        framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        framed.put_slice(&message);
        Self(framed.into())
    }
}

#[cfg(test)]
impl Framed {
    /// Without the header.
    pub(crate) fn message(&self) -> &[u8] {
        &self.0[HEADER..]
    }
}

/// A `ControlMessage` as a subscriber gets it, not yet decoded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Encoded(pub Bytes);

/// A message of this protocol, in its direction.
pub trait Wire: Send + Sized + 'static {
    /// Writes it to the stream.
    fn write(&self, to: &mut EncodeBuf<'_>);

    /// Reads one.
    ///
    /// # Errors
    /// When the bytes are none.
    fn read(from: &mut DecodeBuf<'_>) -> Result<Self, Status>;
}

impl Wire for Encoded {
    fn write(&self, to: &mut EncodeBuf<'_>) {
        to.put_slice(&self.0);
    }

    fn read(from: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        let len = from.remaining();
        Ok(Self(from.copy_to_bytes(len)))
    }
}

impl Wire for EdgeMessage {
    fn write(&self, to: &mut EncodeBuf<'_>) {
        to.put_slice(&self.encode_to_vec());
    }

    fn read(from: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        Self::decode(from).map_err(|error| Status::invalid_argument(format!("not an EdgeMessage: {error}")))
    }
}

/// The codec that the generated code uses, on either end.
#[derive(Debug)]
pub struct EdgeCodec<Out, In>(PhantomData<(Out, In)>);

impl<Out, In> Default for EdgeCodec<Out, In> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Out: Wire, In: Wire> Codec for EdgeCodec<Out, In> {
    type Encode = Out;
    type Decode = In;
    type Encoder = End<Out>;
    type Decoder = End<In>;

    fn encoder(&mut self) -> End<Out> {
        End(PhantomData)
    }

    fn decoder(&mut self) -> End<In> {
        End(PhantomData)
    }
}

/// One direction of [`EdgeCodec`].
#[derive(Debug)]
pub struct End<T>(PhantomData<T>);

// Most messages are a delta of a few entries: 20,000 streams must not hold 8 KiB each for it.
fn small_buffer() -> BufferSettings {
    BufferSettings::new(1_024, 32 * 1_024)
}

impl<T: Wire> Encoder for End<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.write(to);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        small_buffer()
    }
}

impl<T: Wire> Decoder for End<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        T::read(from).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        small_buffer()
    }
}
