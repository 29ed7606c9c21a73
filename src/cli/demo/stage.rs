//! The directory that the demo runs in: the files of `policies/demo/`, with the addresses of this run in the
//! configuration, the CRM's secret, and later the audit log.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A directory of this run. It stays behind, so that the audit can be looked at afterwards.
#[derive(Debug)]
pub(super) struct Stage {
    dir: PathBuf,
}

/// What differs from one run to the next.
pub(super) struct Run<'s> {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) crm: SocketAddr,
    pub(super) secret: &'s str,
}

impl Stage {
    /// Makes a new directory below `parent`, readable by this user only, and fills it.
    pub(super) fn set(parent: &Path, run: &Run<'_>) -> io::Result<Self> {
        let mut random = [0; 6];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let dir = parent.join(format!("fieldgate-demo-{name}"));
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        fs::create_dir(dir.join("keys"))?;
        for (name, text) in FILES {
            fs::write(dir.join(name), text)?;
        }
        fs::write(dir.join(CONFIG), configuration(run))?;
        fs::write(dir.join(SECRET), run.secret)?;
        Ok(Self { dir })
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration, as `serve` takes it.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.join(CONFIG)
    }
}

/// The configuration of `policies/demo/` with the addresses of this run.
fn configuration(run: &Run<'_>) -> String {
    include_str!("../../../policies/demo/fieldgate.yaml")
        .replace(LISTEN, &format!("'{}'", run.listen))
        .replace(ADMIN, &format!("'{}'", run.admin))
        .replace(CRM, &format!("http://{}", run.crm))
        .replace(TOKEN, &format!("{{ file: {SECRET} }}"))
}

/// What the configuration of `policies/demo/` says where this run says something else.
const LISTEN: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9090";
const CRM: &str = "http://127.0.0.1:8081";
const TOKEN: &str = "{ env: DEMO_CRM_TOKEN }";

const CONFIG: &str = "fieldgate.yaml";
const SECRET: &str = "crm-secret";

/// The other files of `policies/demo/`.
const FILES: [(&str, &str); 10] = [
    ("README.md", include_str!("../../../policies/demo/README.md")),
    ("data.yaml", include_str!("../../../policies/demo/data.yaml")),
    ("masks.yaml", include_str!("../../../policies/demo/masks.yaml")),
    ("roles.yaml", include_str!("../../../policies/demo/roles.yaml")),
    ("tests.yaml", include_str!("../../../policies/demo/tests.yaml")),
    ("keys/contractor", include_str!("../../../policies/demo/keys/contractor")),
    ("keys/finance", include_str!("../../../policies/demo/keys/finance")),
    ("keys/manager", include_str!("../../../policies/demo/keys/manager")),
    ("keys/sales", include_str!("../../../policies/demo/keys/sales")),
    ("keys/support", include_str!("../../../policies/demo/keys/support")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::config::Config;

    fn run() -> Run<'static> {
        Run {
            listen: "127.0.0.1:1".parse().expect("an address"),
            admin: "[::1]:2".parse().expect("an address"),
            crm: "127.0.0.1:3".parse().expect("an address"),
            secret: "s3cret",
        }
    }

    #[test]
    fn every_file_of_the_scenario_is_on_the_stage() {
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/demo");
        let parent = tempfile::tempdir().expect("a directory");
        let stage = Stage::set(parent.path(), &run()).expect("a stage");
        for folder in ["", "keys"] {
            for entry in fs::read_dir(scenario.join(folder)).expect("a folder") {
                let entry = entry.expect("an entry");
                if entry.file_type().expect("a type").is_file() {
                    assert!(stage.dir().join(folder).join(entry.file_name()).is_file(), "{entry:?}");
                }
            }
        }
    }

    #[test]
    fn the_configuration_has_the_addresses_of_the_run() {
        let parent = tempfile::tempdir().expect("a directory");
        let stage = Stage::set(parent.path(), &run()).expect("a stage");
        let (config, report) = Config::load(&stage.config());
        let config = config.unwrap_or_else(|| panic!("{}", report.to_text(false)));
        assert_eq!(config.listeners[0].address, run().listen);
        assert_eq!(config.admin.expect("an admin listener").address, run().admin);
        assert_eq!(config.apis[0].urls[0].to_string(), "http://127.0.0.1:3/");
        assert_eq!(fs::read_to_string(stage.dir().join(SECRET)).expect("a secret"), "s3cret");
        assert_eq!(config.audit.dir, stage.dir().join("audit"));
    }

    #[test]
    fn the_configuration_says_each_address_once() {
        let text = include_str!("../../../policies/demo/fieldgate.yaml");
        for found in [LISTEN, ADMIN, CRM, TOKEN] {
            assert_eq!(text.matches(found).count(), 1, "{found}");
        }
    }

    #[test]
    fn only_its_user_may_look_at_it() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().expect("a directory");
        let stage = Stage::set(parent.path(), &run()).expect("a stage");
        let mode = fs::metadata(stage.dir()).expect("a directory").permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
