//! The box's signing key. It proves where a file comes from; whoever holds it can make others, so it never leaves the box.

use crate::error::{EvidenceError, io_at, sync_folder};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::str::FromStr;

const KIND: &str = "cellwarden-ed25519";
const PRIVATE_KIND: &str = "cellwarden-ed25519-private";
/// The private key's file.
pub const KEY_FILE: &str = "evidence.key";
/// The public key's file.
pub const PUBLIC_FILE: &str = "evidence.pub";
/// Keys are short; whatever is longer is something else.
const KEY_FILE_BYTES_MOST: u64 = 4096;

/// A public key: `cellwarden-ed25519 BASE64 NAME`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Short, for people to compare: it comes from the key, so it cannot lie.
    pub fn name(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        let short: String = digest[..6].iter().map(|b| format!("{b:02x}")).collect();
        format!("box-{short}")
    }

    /// Whether `signature` is this key's over `message`.
    pub(crate) fn fits(&self, message: &[u8], signature: &SignatureText) -> bool {
        // Strict: one message has one signature, and weak keys have none.
        self.0.verify_strict(message, &signature.0).is_ok()
    }

    /// Reads the key that `text` is, or that the file of that name holds.
    ///
    /// # Errors
    /// If it is neither.
    pub fn from_text_or_file(text: &str) -> Result<Self, EvidenceError> {
        if text.trim_start().starts_with(KIND) {
            return text.parse();
        }
        read_short(Path::new(text))?.parse()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND} {} {}", STANDARD.encode(self.0.as_bytes()), self.name())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = EvidenceError;

    fn from_str(text: &str) -> Result<Self, EvidenceError> {
        // The first word only: who names the wrong file must not find its secret on the screen.
        let wrong = || {
            let word = text.split_whitespace().next().unwrap_or_default();
            EvidenceError::PublicKey { text: word.chars().take(40).collect() }
        };
        let mut words = text.split_whitespace();
        let (Some(KIND), Some(base64)) = (words.next(), words.next()) else { return Err(wrong()) };
        let bytes = STANDARD.decode(base64).map_err(|_| wrong())?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| wrong())?;
        let key = Self(VerifyingKey::from_bytes(&bytes).map_err(|_| wrong())?);
        // The name is for people, but a name of another key would deceive them.
        match words.next() {
            Some(name) if name != key.name() => Err(wrong()),
            _ => Ok(key),
        }
    }
}

/// Text with serde, by way of `Display` and `FromStr`.
macro_rules! as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// A signature, in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct SignatureText(Signature);

impl fmt::Display for SignatureText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.to_bytes()))
    }
}

impl fmt::Debug for SignatureText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SignatureText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|_| "a signature is base64".to_owned())?;
        let bytes: [u8; 64] = bytes.try_into().map_err(|_| "a signature has 64 bytes".to_owned())?;
        Ok(Self(Signature::from_bytes(&bytes)))
    }
}

as_text!(PublicKey);
as_text!(SignatureText);

/// The box's key pair.
pub struct Keys(SigningKey);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.public())
    }
}

impl Keys {
    /// Reads the key in folder `dir`, or makes one there: `evidence.key` for the owner only, and `evidence.pub` for
    /// everybody.
    ///
    /// # Errors
    /// If the key can be read by others, is none, or cannot be made.
    pub fn load_or_create(dir: &Path) -> Result<Self, EvidenceError> {
        std::fs::create_dir_all(dir).map_err(io_at("making the folder", dir))?;
        let path = dir.join(KEY_FILE);
        if !path.try_exists().map_err(io_at("looking for", &path))? {
            create(dir, &path)?;
        }
        let keys = Self::load(&path)?;
        let public = dir.join(PUBLIC_FILE);
        if read_short(&public).ok().and_then(|text| text.parse().ok()) != Some(keys.public()) {
            std::fs::write(&public, format!("{}\n", keys.public())).map_err(io_at("writing", &public))?;
        }
        Ok(keys)
    }

    fn load(path: &Path) -> Result<Self, EvidenceError> {
        let wrong = |what: String| EvidenceError::Key { path: path.to_owned(), what };
        let info = std::fs::metadata(path).map_err(io_at("reading", path))?;
        let mode = info.permissions().mode();
        if mode & 0o077 != 0 {
            let mode = mode & 0o777;
            return Err(wrong(format!(
                "others than its owner may use it (mode {mode:o}): chmod 600 it if nobody can have read it, \
                 else delete it, begin a new evidence folder, and tell those who trust the old key"
            )));
        }
        if !info.is_file() || info.uid() != rustix::process::geteuid().as_raw() {
            return Err(wrong("it must be a file that belongs to the user who runs cellwarden".to_owned()));
        }
        let text = read_short(path)?;
        let mut words = text.split_whitespace();
        let (Some(PRIVATE_KIND), Some(base64)) = (words.next(), words.next()) else {
            return Err(wrong(format!("it does not begin with `{PRIVATE_KIND}`: restore it, or begin a new folder")));
        };
        // Never the text itself in a message: it is the secret.
        let bytes = STANDARD.decode(base64).ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
        let bytes = bytes.ok_or_else(|| wrong("its base64 is not 32 bytes: restore it".to_owned()))?;
        Ok(Self(SigningKey::from_bytes(&bytes)))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> SignatureText {
        SignatureText(self.0.sign(message))
    }
}

/// Makes a key file that is whole or not there, and never another's.
fn create(dir: &Path, path: &Path) -> Result<(), EvidenceError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| EvidenceError::Key {
        path: path.to_owned(),
        what: format!("the system has no randomness for a new one: {e}"),
    })?;
    let part = dir.join(format!("{KEY_FILE}.{}.part", std::process::id()));
    let made = || -> std::io::Result<()> {
        let _ = std::fs::remove_file(&part);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        writeln!(file, "{PRIVATE_KIND} {}", STANDARD.encode(seed))?;
        file.sync_all()?;
        // Fails where another process was faster: then its key is the one.
        match std::fs::hard_link(&part, path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
            _ => std::fs::remove_file(&part),
        }
    };
    made().map_err(io_at("making a key in", dir))?;
    sync_folder(dir)
}

fn read_short(path: &Path) -> Result<String, EvidenceError> {
    let mut text = String::new();
    let file = File::open(path).map_err(io_at("opening", path))?;
    file.take(KEY_FILE_BYTES_MOST).read_to_string(&mut text).map_err(io_at("reading", path))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("keys");
        let keys = Keys::load_or_create(&dir).unwrap();
        assert_eq!(std::fs::metadata(dir.join(KEY_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Keys::load_or_create(&dir).unwrap().public(), keys.public());
        let public = dir.join(PUBLIC_FILE).display().to_string();
        assert_eq!(PublicKey::from_text_or_file(&public).unwrap(), keys.public());
        assert_eq!(PublicKey::from_text_or_file(&keys.public().to_string()).unwrap(), keys.public());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2, "nothing else is left");
        assert!(!format!("{keys:?}").contains("private"));
        // The wrong half is no public key, and is not shown.
        let private = dir.join(KEY_FILE);
        let secret = std::fs::read_to_string(&private).unwrap();
        let secret = secret.split_whitespace().nth(1).unwrap();
        let text = std::fs::read_to_string(&private).unwrap();
        for wrong in [private.display().to_string(), text] {
            let error = PublicKey::from_text_or_file(&wrong).unwrap_err().to_string();
            assert!(error.contains("private") && !error.contains(&secret[..8]), "{error}");
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Keys::load_or_create(folder.path()).unwrap();
        let path = folder.path().join(KEY_FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = Keys::load_or_create(folder.path()).unwrap_err().to_string();
        assert!(error.contains("640") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_broken_key_is_refused_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        Keys::load_or_create(folder.path()).unwrap();
        let path = folder.path().join(KEY_FILE);
        for text in ["", "SECRET", "cellwarden-ed25519-private SECRET", "cellwarden-ed25519-private"] {
            std::fs::write(&path, text).unwrap();
            let error = Keys::load_or_create(folder.path()).unwrap_err().to_string();
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn a_public_key_with_anothers_name_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let text = Keys::load_or_create(folder.path()).unwrap().public().to_string();
        let renamed = text.replace("box-", "box-00");
        assert!(renamed.parse::<PublicKey>().is_err());
        assert!(text.rsplit_once(' ').unwrap().0.parse::<PublicKey>().is_ok(), "a name may be left out");
        for bad in ["", "ssh-ed25519 AAAA", "cellwarden-ed25519", "cellwarden-ed25519 AAAA x", "/nowhere"] {
            assert!(PublicKey::from_text_or_file(bad).is_err(), "{bad}");
        }
    }
}
