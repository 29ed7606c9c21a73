//! Outputs that are kept: `UPDATE_GOLDEN=1` writes them anew, the difference is read before it is committed.

use std::path::Path;

/// Compares a text with the file that keeps it.
pub(super) fn golden(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let changes = crate::analysis::difference(&kept, text);
    assert!(kept == text, "{name} is not as before; if it is meant, run with UPDATE_GOLDEN=1\n{changes}");
}
