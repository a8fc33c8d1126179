//! What happens to audio.
