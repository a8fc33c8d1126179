//! SDP, RFC 8866.

/// Why a description was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpError {
    /// Empty, or more than [`MAX_OCTETS`].
    Size,
}

/// Largest description in octets.
pub const MAX_OCTETS: usize = 65_535;
