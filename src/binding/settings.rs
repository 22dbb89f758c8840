//! The class `ConnectionSettings`.

use std::sync::Arc;

use napi_derive::napi;
use oxws_protocol::{Decoder, DecoderOptions, Encoder};

use super::decoder::Limits;
use super::permessage_deflate::PerMessageDeflate;
use crate::engine::connection::ConnectionOptions;

/// The settings that the connections of a server or client share.
#[napi]
pub struct ConnectionSettings {
    pub(super) options: ConnectionOptions,
    decoder: Arc<DecoderOptions>,
    threshold: usize,
}

impl ConnectionSettings {
    /// Creates the decoder of a connection.
    pub(super) fn decoder(&self, deflate: Option<&PerMessageDeflate>) -> Decoder {
        let inflater = deflate.map(PerMessageDeflate::inflater);
        Decoder::new(self.decoder.clone(), inflater)
    }

    /// Creates the encoder of a connection.
    pub(super) fn encoder(&self, deflate: Option<&PerMessageDeflate>) -> Encoder {
        Encoder::new(deflate.map(PerMessageDeflate::deflater), self.threshold)
    }
}

#[napi]
impl ConnectionSettings {
    /// Creates settings.
    ///
    /// `masks`: whether automatic pongs are masked. `answers`: whether the engine answers
    /// pings; otherwise JavaScript does. `texts_are_strings`: whether JavaScript takes texts
    /// as strings; otherwise it takes their bytes. `threshold`: messages whose first
    /// fragment is shorter, in bytes, are not compressed.
    #[napi(constructor)]
    pub fn new(
        masks: bool,
        answers: bool,
        texts_are_strings: bool,
        threshold: f64,
        limits: Limits,
    ) -> Self {
        Self {
            options: ConnectionOptions {
                masks,
                answers,
                texts_are_strings,
            },
            decoder: Arc::new(limits.options()),
            threshold: threshold.max(0.0) as usize,
        }
    }
}
