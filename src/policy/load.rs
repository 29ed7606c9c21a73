//! Policy files from a directory to a plan.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::base::{Diagnostic, Place, Report};

use super::compile::{Compiled, Purpose, compile};
use super::keys::MaskKeys;
use super::plan::Plan;
use super::source::{Documents, Mark};
use super::syntax::PolicySet;

/// A policy that was read: what it says, what it compiles to, and what is to be said about it.
pub struct Loaded {
    /// The files as written.
    pub set: PolicySet,
    /// The compiled policy; `None` if anything is wrong with it.
    pub plan: Option<Plan>,
    /// Everything that was noticed, sorted by place.
    pub report: Report,
    documents: Documents,
}

impl Plan {
    /// Reads policy files and compiles them for serving. Directories stand for their `*.yaml` files. Warnings are
    /// returned beside the plan.
    pub fn load(paths: &[PathBuf], keys: &MaskKeys) -> Result<(Self, Report), Report> {
        let loaded = Loaded::read(paths, keys, Purpose::Serve);
        match loaded.plan {
            Some(plan) => Ok((plan, loaded.report)),
            None => Err(loaded.report),
        }
    }
}

impl Loaded {
    /// Reads policy files. Directories stand for their `*.yaml` files.
    pub fn read(paths: &[PathBuf], keys: &MaskKeys, purpose: Purpose) -> Self {
        let mut documents = Documents::new();
        let (mut files, mut tests) = (BTreeSet::new(), BTreeSet::new());
        for path in paths {
            match Files::of(path) {
                Ok(found) => {
                    files.extend(found.policy);
                    tests.extend(found.tests);
                }
                Err(error) => documents.push(Diagnostic::error(
                    "unreadable-file",
                    format!("cannot read `{}`: {error}", path.display()),
                )),
            }
        }
        if files.is_empty() && !documents.has_errors() {
            documents.push(
                Diagnostic::error("no-policy", "there are no policy files")
                    .help("name a directory that holds `*.yaml` files, or the files"),
            );
        }
        let mut set = PolicySet::default();
        for file in &files {
            if let Some(root) = documents.read(file) {
                set.add(&documents, &root);
            }
        }
        // Tests decide nothing: they have no part in what is served and in its version.
        documents.policy_ends();
        for file in tests.iter().filter(|_| purpose == Purpose::Check) {
            if let Some(root) = documents.read(file) {
                set.add_test_file(&documents, &root);
            }
        }
        Self::compile(documents, set, keys, purpose)
    }

    /// The text of a file, as it was read.
    pub fn text_of(&self, file: &str) -> Option<&str> {
        self.documents.texts().find(|(name, _)| *name == file).map(|(_, text)| text)
    }

    /// The file of a mark, and the bytes of its text from where to where.
    pub fn range_of(&self, mark: Mark) -> Option<(&str, std::ops::Range<usize>)> {
        self.documents.range(mark).map(|(name, range)| (name.as_ref(), range))
    }

    /// Where something of [`Loaded::set`] stands.
    pub fn place_of(&self, mark: Mark) -> Place {
        self.documents.place(mark)
    }

    /// Warnings about bindings that have ended at `now`.
    pub fn expired(&self, now: Timestamp) -> Vec<Diagnostic> {
        super::lints::expired(&self.documents, &self.set, now)
    }

    /// Compiles policy texts, given with names, as if they were files.
    pub fn from_texts(texts: &[(&str, &str)], keys: &MaskKeys, purpose: Purpose) -> Self {
        let mut documents = Documents::new();
        let mut set = PolicySet::default();
        for (name, text) in texts {
            if let Some(root) = documents.parse(Arc::from(*name), Arc::from(*text)) {
                set.add(&documents, &root);
            }
        }
        Self::compile(documents, set, keys, purpose)
    }

    fn compile(documents: Documents, set: PolicySet, keys: &MaskKeys, purpose: Purpose) -> Self {
        set.refuse_duplicates(&documents);
        let Compiled { tables, router, params } = compile(&documents, &set, keys, purpose);
        super::check::lint(&documents, &set, &tables);
        let version = version(&documents);
        let plan = (!documents.has_errors()).then(|| Plan::new(version, tables, router, params));
        let report = documents.take_report();
        Self { set, plan, report, documents }
    }
}

/// The policy's own files that a path stands for, sorted: without those that hold nothing but tests.
pub fn policy_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Files::of(path)?.policy;
    files.sort();
    Ok(files)
}

/// The files that a path stands for.
#[derive(Default)]
struct Files {
    policy: Vec<PathBuf>,
    /// Those that hold nothing but tests.
    tests: Vec<PathBuf>,
}

impl Files {
    /// The `*.yaml` files of a directory; a file stands for itself. Tests are in the folder `tests` and in files whose
    /// names end in `_test.yaml`. The configuration of the deployment is no policy, also where it lies beside it.
    fn of(path: &Path) -> std::io::Result<Self> {
        if !std::fs::metadata(path)?.is_dir() {
            return Ok(Self { policy: vec![path.to_owned()], tests: Vec::new() });
        }
        let mut files = Self::default();
        for file in yaml_in(path)? {
            match file.file_name().map(|name| name.to_string_lossy().into_owned()) {
                Some(name) if name == "fieldgate.yaml" => {}
                Some(name) if name.ends_with("_test.yaml") => files.tests.push(file),
                _ => files.policy.push(file),
            }
        }
        let folder = path.join("tests");
        if folder.is_dir() {
            files.tests.extend(yaml_in(&folder)?);
        }
        Ok(files)
    }
}

fn yaml_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") && path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

/// Names the texts of all files but those of tests: the same policy has the same version wherever its directory lies.
fn version(documents: &Documents) -> Arc<str> {
    let mut hash = Sha256::new();
    for (name, text) in documents.policy_texts() {
        let name = Path::new(name).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        for part in [name.as_ref(), text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}
