//! Everything that scenarios play, read before the first call.

use crate::audio::clip::{Clip, Law};
use crate::scenario::{Action, Exec, Scenario};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pitch and level of the tone: ITU-T O.131's frequency at a level that does not clip.
const TONE_HZ: u32 = 1000;
const TONE_DBM0: f64 = -10.0;

/// Clips by file and law.
#[derive(Debug, Default)]
pub struct Clips {
    all: HashMap<(PathBuf, bool), Arc<Clip>>,
}

/// Payload type 8 is A-law (RFC 3551 section 6).
fn is_a_law(payload_type: Option<u8>) -> bool {
    payload_type == Some(8)
}

impl Clips {
    /// Reads what these scenarios play.
    /// # Errors
    /// One sentence: the file, what was found, what is expected.
    pub fn load<'a>(scenarios: impl IntoIterator<Item = &'a Scenario>) -> Result<Self, String> {
        let mut clips = Self::default();
        let actions = scenarios
            .into_iter()
            .flat_map(|scenario| scenario.steps.iter().flat_map(|step| &step.actions));
        for action in actions {
            match action {
                Action::Exec(Exec::Play { path, payload_type, .. }) => clips.add(path, *payload_type, false)?,
                Action::Exec(Exec::PlayCapture(path)) => clips.add(path, None, true)?,
                _ => {}
            }
        }
        Ok(clips)
    }

    fn add(&mut self, path: &Path, payload_type: Option<u8>, capture: bool) -> Result<(), String> {
        let a_law = is_a_law(payload_type);
        let key = (path.to_path_buf(), a_law);
        if self.all.contains_key(&key) {
            return Ok(());
        }
        let law = if a_law { Law::A } else { Law::Mu };
        let extension = path.extension().map(|name| name.to_ascii_lowercase());
        let is = |name: &str| extension.as_ref().is_some_and(|extension| extension == name);
        let clip = if capture || is("pcap") || is("pcapng") || is("cap") {
            Clip::pcap_file(path)
        } else if path == Path::new("tone") {
            Clip::tone(TONE_HZ, TONE_DBM0, law)
        } else if is("wav") {
            Clip::wav_file(path, law)
        } else {
            Clip::raw_file(path, law)
        };
        self.all.insert(key, clip.map_err(|error| error.to_string())?);
        Ok(())
    }

    pub(super) fn find(&self, path: &Path, payload_type: Option<u8>) -> Option<Arc<Clip>> {
        self.all.get(&(path.to_path_buf(), is_a_law(payload_type))).cloned()
    }
}
