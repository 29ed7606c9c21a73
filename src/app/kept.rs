//! The refresh token that a provider gave last, kept over a restart: sealed, in a file that only the gateway's user reads.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::Secret;
use crate::store::Seal;
use crate::upstream::TokenKeeper;

/// Keeps the token of one client in a file. What was kept for another client, or under another key, is not opened.
pub(super) fn keeper(
    path: PathBuf,
    seal: &Arc<Seal>,
    api: &str,
    token_url: &str,
    client_id: &str,
) -> TokenKeeper {
    let whose: Arc<[String]> = [api, token_url, client_id].map(str::to_owned).into();
    let (opening, of, from) = (Arc::clone(seal), Arc::clone(&whose), path.clone());
    let (sealing, path) = (Arc::clone(seal), path);
    TokenKeeper::new(
        move || {
            let sealed = read(&from)?;
            let token = opening.open(&bound(&of), &sealed)?;
            String::from_utf8(token).ok().map(Secret::new)
        },
        move |token| {
            let sealed =
                sealing.seal(&bound(&whose), token.expose().as_bytes()).ok_or("it cannot be sealed")?;
            write(&path, &sealed).map_err(|error| format!("`{}`: {error}", path.display()))
        },
    )
}

fn bound(whose: &[String]) -> Vec<&[u8]> {
    std::iter::once(PURPOSE).chain(whose.iter().map(String::as_bytes)).collect()
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut sealed = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut sealed).ok()?;
    Some(sealed)
}

/// As a whole or not at all: the token before may be worthless already.
fn write(path: &Path, sealed: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(sealed)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

const PURPOSE: &[u8] = b"refresh token 1";
const MAX_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_kept_token_is_sealed_private_and_for_one_client() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("crm.state");
        let seal = Arc::new(Seal::new(&Secret::new("k".repeat(32)), None).unwrap());
        let kept =
            |seal: &Arc<Seal>, client: &str| keeper(path.clone(), seal, "crm", "https://id/token", client);
        let own = kept(&seal, "gate");
        assert!(own.load().is_none());
        for token in ["CANARY-1", "CANARY-2"] {
            own.save(&Secret::new(token.to_owned())).unwrap();
            assert_eq!(own.load().unwrap().expose(), token);
        }
        let raw = std::fs::read(&path).unwrap();
        assert!(!raw.windows(6).any(|window| window == b"CANARY"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(kept(&seal, "other").load().is_none());
        let stranger = Arc::new(Seal::new(&Secret::new("x".repeat(32)), None).unwrap());
        assert!(kept(&stranger, "gate").load().is_none());
        std::fs::write(&path, &raw[..raw.len() - 1]).unwrap();
        assert!(own.load().is_none());
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(own.save(&Secret::new("CANARY".to_owned())).is_err());
    }
}
