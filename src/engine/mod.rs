//! What the addon needs beyond the protocol, and without N-API.

pub(crate) mod mask_keys;
