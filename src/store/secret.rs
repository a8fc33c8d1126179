//! Secrets that are made at the first start.

use crate::store::error::StoreError;
use rand::TryRng;
use rand::rngs::SysRng;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Characters that cannot be mistaken for one another when read out or typed on a phone.
const READABLE: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
const PASSWORD_CHARACTERS: usize = 12;
const TOKEN_OCTETS: usize = 32;
/// A token shorter than this in a file of the operator's is refused.
const TOKEN_LEAST: usize = 16;

/// A password of 12 readable characters (59 bits) from the operating system's randomness.
/// # Errors
/// [`StoreError::Randomness`].
pub fn readable_password() -> Result<String, StoreError> {
    let mut password = String::with_capacity(PASSWORD_CHARACTERS);
    while password.len() < PASSWORD_CHARACTERS {
        // 31 characters: taking 5 bits and refusing the one value beyond keeps all equally likely.
        let index = usize::from(random::<1>()?[0] & 31);
        if let Some(character) = READABLE.get(index) {
            password.push(char::from(*character));
        }
    }
    Ok(password)
}

/// The access token in `path`; made (64 hexadecimal digits, mode 0600) when the file is missing.
/// # Errors
/// [`StoreError::Io`] when the file cannot be read or made, or holds fewer than 16 characters.
pub fn load_or_make_token(path: &Path) -> Result<String, StoreError> {
    let io = |what| {
        move |source| StoreError::Io {
            what,
            path: path.to_path_buf(),
            source,
        }
    };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let token = text.trim().to_owned();
            if token.len() < TOKEN_LEAST || token.contains(char::is_whitespace) {
                let reason = "it must hold one token of at least 16 characters; delete it to have one made";
                return Err(io("use the token file")(std::io::Error::new(
                    ErrorKind::InvalidData,
                    reason,
                )));
            }
            let open_to_others = File::open(path)
                .and_then(|file| file.metadata())
                .map(|meta| meta.permissions().mode());
            if open_to_others.is_ok_and(|mode| mode & 0o077 != 0) {
                tracing::warn!(file = %path.display(), "the token file can be read by other users: chmod 600 it");
            }
            Ok(token)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut token = String::with_capacity(TOKEN_OCTETS * 2);
            for octet in random::<TOKEN_OCTETS>()? {
                let _ = write!(token, "{octet:02x}");
            }
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).map_err(io("make the folder of"))?;
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(io("make"))?;
            writeln!(file, "{token}")
                .and_then(|()| file.sync_all())
                .map_err(io("write"))?;
            Ok(token)
        }
        Err(source) => Err(io("read")(source)),
    }
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut octets = [0; N];
    SysRng
        .try_fill_bytes(&mut octets)
        .map_err(|error| StoreError::Randomness(error.to_string()))?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_readable_and_differ() {
        let (one, two) = (readable_password().unwrap(), readable_password().unwrap());
        assert_eq!(one.len(), 12);
        assert!(one.bytes().all(|c| READABLE.contains(&c)));
        assert_ne!(one, two);
        assert_eq!(READABLE.len(), 31);
    }

    #[test]
    fn a_token_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/token");
        let token = load_or_make_token(&path).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(load_or_make_token(&path).unwrap(), token);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_short_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for text in ["", "short\n", "two words of some length"] {
            std::fs::write(&path, text).unwrap();
            assert!(load_or_make_token(&path).is_err(), "{text:?}");
        }
    }
}
