//! Notices that files have changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tracing::warn;

/// Watches directories, not files: editors and Kubernetes replace files, and a watch on a file ends with it.
pub(super) struct Watch {
    changed: Arc<Notify>,
    /// Ends the watch when dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches `dirs`. What cannot be watched is logged: SIGHUP is then the way to reload.
    pub(super) fn over(dirs: &[PathBuf]) -> Self {
        let changed = Arc::new(Notify::new());
        let tell = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| matters(&event)) {
                tell.notify_one();
            }
        });
        let mut watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => {
                warn!(%error, "files are not watched: reload with SIGHUP");
                return Self { changed, _watcher: None };
            }
        };
        for dir in dirs {
            if let Err(error) = watcher.watch(dir, RecursiveMode::NonRecursive) {
                warn!(dir = %dir.display(), %error, "directory is not watched: reload with SIGHUP");
            }
        }
        Self { changed, _watcher: Some(watcher) }
    }

    /// Waits for a change, and until nothing more has changed for a moment: files are seldom written in one go.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
        while tokio::time::timeout(QUIET, self.changed.notified()).await.is_ok() {}
    }
}

/// The directories may also hold a database and logs that change all the time.
fn matters(event: &Event) -> bool {
    !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(|path| is_ours(path))
}

fn is_ours(path: &Path) -> bool {
    let named = path.extension().and_then(|extension| extension.to_str());
    // `..data` is the link that Kubernetes turns to a new version of a mounted volume.
    matches!(named, Some("yaml" | "yml" | "pem" | "crt" | "cer" | "key")) || path.ends_with("..data")
}

/// How long nothing may change before the files are read.
const QUIET: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind};

    use super::*;

    #[test]
    fn only_policies_certificates_and_turned_links_matter() {
        for (path, ours) in [
            ("p/roles.yaml", true),
            ("tls/key.pem", true),
            ("p/..data", true),
            ("fieldgate.db", false),
            ("p/a.yaml~", false),
        ] {
            assert_eq!(is_ours(Path::new(path)), ours, "{path}");
        }
        let event = |kind| Event::new(kind).add_path(PathBuf::from("roles.yaml"));
        assert!(matters(&event(EventKind::Create(CreateKind::File))));
        assert!(!matters(&event(EventKind::Access(AccessKind::Read))), "reading must not cause a reload");
    }

    #[tokio::test]
    async fn a_replaced_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let watch = Watch::over(&[dir.path().to_owned()]);
        std::fs::write(dir.path().join("new"), "a: 1").unwrap();
        std::fs::rename(dir.path().join("new"), dir.path().join("roles.yaml")).unwrap();
        watch.changed().await;
    }
}
