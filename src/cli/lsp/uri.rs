//! Names of files as editors write them (RFC 8089, RFC 3986).

use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The file that a `file:` URI names, without `.` and `..`.
pub(super) fn path_of(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://")?;
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let absolute = path.starts_with('/') && !path.contains('\0') && path.len() <= MAX_PATH;
    absolute.then(|| plain(Path::new(path.as_ref())))
}

/// The URI of a file.
pub(super) fn uri_of(path: &Path) -> String {
    format!("file://{}", utf8_percent_encode(&path.display().to_string(), &RESERVED))
}

/// A path without `.` and `..`, as it is written: links are not followed.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(component),
        }
    }
    plain
}

const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// No path is longer.
const MAX_PATH: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_uris_name_each_other() {
        for path in ["/p/roles.yaml", "/策略/a b#c?.yaml", "/100%/x.yaml"] {
            assert_eq!(path_of(&uri_of(Path::new(path))), Some(PathBuf::from(path)));
        }
        assert_eq!(path_of("file://localhost/a/./b/../c"), Some(PathBuf::from("/a/c")));
        assert_eq!(path_of("file:///../../etc"), Some(PathBuf::from("/etc")));
        for other in
            ["untitled:Untitled-1", "git:/x", "file://host/x", "file:///%ff", "file:///%00", "", "file://"]
        {
            assert_eq!(path_of(other), None, "{other}");
        }
    }
}
