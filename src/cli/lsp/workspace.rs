//! The files that an editor shows and the policies they belong to.
//!
//! A policy is a folder of files. It belongs to the deployment whose `fieldgate.yaml`, in the folder or above it, names
//! the folder; without one it is checked alone, as `check --policies` does. What the editor holds unsaved stands for
//! the file on the disk. A text that is no YAML right now is mended by leaving out the line that is being typed, else
//! the last text that was YAML stands for it, so that the names of a policy stay known.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::analysis::editor::{self, Desk};
use crate::app;
use crate::base::{Diagnostic, Report};
use crate::policy::source::Documents;
use crate::policy::{Loaded, MaskKeys, Purpose, policy_files};

use super::uri;

/// A file that the editor shows.
pub(super) struct Document {
    pub(super) text: Arc<str>,
    pub(super) version: i64,
    /// The line that was changed last.
    pub(super) edited: usize,
}

/// What a document belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Root {
    /// A deployment.
    Deployment(PathBuf),
    /// A folder that no deployment names.
    Folder(PathBuf),
    /// A text that is in no file yet, by its URI.
    Alone(String),
}

/// A policy, perhaps with its deployment, as far as it is known.
#[derive(Default)]
pub(super) struct Project {
    /// What is wrong with it.
    pub(super) report: Report,
    /// The deployment's file.
    pub(super) config: Option<PathBuf>,
    /// The same when all of its files were YAML.
    settled: Option<Report>,
    policy: Option<Rc<Loaded>>,
    sound: Option<Rc<Loaded>>,
    secrets: Vec<Arc<str>>,
    /// The last text of each file that was YAML.
    readable: BTreeMap<String, Arc<str>>,
    /// Whether the texts have changed since.
    stale: bool,
}

/// Everything the editor shows.
#[derive(Default)]
pub(super) struct Workspace {
    documents: BTreeMap<String, Document>,
    projects: BTreeMap<Root, Project>,
    dirty: BTreeSet<Root>,
    /// What documents belong to, until a deployment changes.
    roots: RefCell<BTreeMap<String, Root>>,
}

impl Workspace {
    pub(super) fn document(&self, uri: &str) -> Option<&Document> {
        self.documents.get(uri)
    }

    /// The URI under which the editor shows a file.
    pub(super) fn uri_of(&self, name: &str) -> String {
        let shown = self
            .documents
            .keys()
            .find(|uri| *uri == name || uri::path_of(uri).is_some_and(|p| p == Path::new(name)));
        shown.cloned().unwrap_or_else(|| uri::uri_of(Path::new(name)))
    }

    /// Takes in a text. `false`: there are too many, or it is too long.
    pub(super) fn put(&mut self, uri: &str, document: Document) -> bool {
        let room = self.documents.len() < MAX_DOCUMENTS || self.documents.contains_key(uri);
        let fits = document.text.len() <= MAX_TEXT;
        if !room || !fits {
            // What is not known must not be taken for what is on the disk.
            self.documents.remove(uri);
            return false;
        }
        self.documents.insert(uri.to_owned(), document);
        self.forget_roots(uri);
        self.touch(uri);
        true
    }

    pub(super) fn close(&mut self, uri: &str) {
        self.touch(uri);
        self.documents.remove(uri);
        self.forget_roots(uri);
        self.touch(uri);
        self.roots.borrow_mut().remove(uri);
    }

    fn forget_roots(&self, uri: &str) {
        if uri.ends_with(CONFIG) {
            self.roots.borrow_mut().clear();
        }
    }

    /// Files on the disk may have changed.
    pub(super) fn touch_all(&mut self) {
        self.roots.borrow_mut().clear();
        let shown: Vec<_> = self.documents.keys().cloned().collect();
        shown.iter().for_each(|uri| self.touch(uri));
        self.dirty.extend(self.projects.keys().cloned());
    }

    fn touch(&mut self, uri: &str) {
        let root = self.root(uri);
        self.dirty.insert(root);
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Compiles what has changed; gives what was compiled.
    pub(super) fn compile(&mut self) -> Vec<Root> {
        let dirty: Vec<_> = std::mem::take(&mut self.dirty).into_iter().collect();
        for root in &dirty {
            let mut project = self.projects.remove(root).unwrap_or_default();
            if self.documents.keys().any(|uri| self.root(uri) == *root) {
                self.compile_project(root, &mut project);
                self.projects.insert(root.clone(), project);
            }
        }
        dirty
    }

    /// Compiles now what a text belongs to, if that is short enough not to be noticed.
    pub(super) fn freshen(&mut self, uri: &str) -> Vec<Root> {
        let root = self.root(uri);
        let small = self.projects.get(&root).is_none_or(|project| {
            project.readable.values().map(|text| text.len()).sum::<usize>() <= COMPILED_AT_ONCE
        });
        if small && self.dirty.contains(&root) { self.compile() } else { Vec::new() }
    }

    /// What is wrong with each policy, and where to say what has no place.
    pub(super) fn reports(&self) -> impl Iterator<Item = (String, &Report)> {
        self.projects.iter().map(|(root, project)| {
            let uri = match root {
                Root::Alone(uri) => uri.clone(),
                Root::Deployment(config) => self.uri_of(&config.display().to_string()),
                Root::Folder(_) => {
                    let shown = self.documents.keys().find(|uri| self.root(uri) == *root);
                    shown.cloned().unwrap_or_default()
                }
            };
            (uri, &project.report)
        })
    }

    pub(super) fn project_of(&self, uri: &str) -> Option<&Project> {
        self.projects.get(&self.root(uri))
    }

    /// The text of a file, as the editor shows it or as it is on the disk.
    pub(super) fn text(&self, path: &Path) -> Option<Arc<str>> {
        let shown =
            self.documents.iter().find(|(uri, _)| uri::path_of(uri).is_some_and(|shown| shown == path));
        match shown {
            Some((_, document)) => Some(Arc::clone(&document.text)),
            None => read(path).ok(),
        }
    }

    fn root(&self, uri: &str) -> Root {
        if let Some(known) = self.roots.borrow().get(uri) {
            return known.clone();
        }
        let found = self.find_root(uri);
        if self.documents.contains_key(uri) {
            self.roots.borrow_mut().insert(uri.to_owned(), found.clone());
        }
        found
    }

    fn find_root(&self, uri: &str) -> Root {
        let Some(path) = uri::path_of(uri) else { return Root::Alone(uri.to_owned()) };
        if path.file_name().is_some_and(|name| name == CONFIG) {
            return Root::Deployment(path);
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        for above in folder.ancestors().take(MAX_ABOVE) {
            let config = above.join(CONFIG);
            if self
                .text(&config)
                .is_some_and(|text| policies(&config, &text).is_some_and(|dir| dir == folder))
            {
                return Root::Deployment(config);
            }
        }
        Root::Folder(folder.to_owned())
    }

    fn compile_project(&self, root: &Root, project: &mut Project) {
        let mut unread = Report::default();
        let texts = match root {
            Root::Alone(uri) => {
                let text = self.documents.get(uri).map(|document| Arc::clone(&document.text));
                text.map(|text| (uri.clone(), text)).into_iter().collect()
            }
            Root::Folder(folder) => self.texts(folder, &mut unread),
            Root::Deployment(config) => {
                let text = self.text(config).unwrap_or_default();
                project.secrets =
                    editor::keys_of(&text, &["secrets"]).into_iter().map(|(name, _)| name).collect();
                policies(config, &text).map(|folder| self.texts(&folder, &mut unread)).unwrap_or_default()
            }
        };
        let written = |keys: &MaskKeys| compile(&texts, keys);
        let (mut report, now) = match root {
            Root::Deployment(config) => {
                let text = self.text(config).unwrap_or_default();
                let mut checked = app::check_text(config, &text, |_, keys| written(keys));
                let policy = checked.policy.take().unwrap_or_else(|| {
                    let mut policy = written(&MaskKeys::Named(project.secrets.clone()));
                    checked.report.extend(std::mem::take(&mut policy.report));
                    policy
                });
                project.config = Some(config.clone());
                (checked.report, policy)
            }
            Root::Folder(_) | Root::Alone(_) if !is_policy(&texts) => {
                *project = Project::default();
                return;
            }
            Root::Folder(_) | Root::Alone(_) => {
                project.config = None;
                let mut policy = written(&MaskKeys::Assumed);
                (std::mem::take(&mut policy.report), policy)
            }
        };
        report.extend(unread);
        project.stale = now.plan.is_none();
        let keys = match root {
            Root::Deployment(_) => MaskKeys::Named(project.secrets.clone()),
            Root::Folder(_) | Root::Alone(_) => MaskKeys::Assumed,
        };
        project.report = self.keep(project, now, report, &texts, &keys);
    }

    /// Keeps what is needed to answer: the policy as it is read now, and as it was when it had no mistakes. Gives what
    /// there is to complain about: a file that is no YAML does not make the others wrong that name what is in it.
    fn keep(
        &self,
        project: &mut Project,
        now: Loaded,
        report: Report,
        texts: &[(String, Arc<str>)],
        keys: &MaskKeys,
    ) -> Report {
        let mut mended = Vec::new();
        let mut broken = BTreeSet::new();
        for (name, text) in texts {
            let edited = self.documents.get(&self.uri_of(name)).map(|document| document.edited);
            let readable = if now.plan.is_some() { Some(Arc::clone(text)) } else { mend(text, edited) };
            let kept = readable.or_else(|| project.readable.get(name).cloned());
            if kept.as_ref() != Some(text) {
                broken.insert(name.as_str());
            }
            mended.extend(kept.map(|text| (name.clone(), text)));
        }
        let mut complaints = Report::default();
        let policy = if broken.is_empty() {
            complaints.extend(report);
            Rc::new(now)
        } else {
            let mut policy = compile(&mended, keys);
            // The texts as they are come first, so that complaints are placed in them.
            texts.iter().for_each(|(name, text)| complaints.source(name.as_str().into(), Arc::clone(text)));
            let of = |names: &BTreeSet<&str>, found: &Diagnostic| {
                found.place.as_ref().is_some_and(|place| names.contains(place.file.as_ref()))
            };
            let known: BTreeSet<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
            let own = report.diagnostics().iter().filter(|found| of(&broken, found) || !of(&known, found));
            own.cloned().for_each(|found| complaints.push(found));
            let mended = std::mem::take(&mut policy.report);
            let others = project.settled.as_ref().unwrap_or(&mended);
            let others = others.diagnostics().iter().filter(|found| !of(&broken, found));
            others.cloned().for_each(|found| complaints.push(found));
            Rc::new(policy)
        };
        complaints.sort();
        if broken.is_empty() {
            project.settled = Some(complaints.clone());
        }
        if !project.stale {
            project.sound = Some(Rc::clone(&policy));
        }
        project.policy = Some(policy);
        project.readable = mended.into_iter().collect();
        complaints
    }

    /// The files of a policy, with what the editor shows of them and what it shows beside them.
    fn texts(&self, folder: &Path, unread: &mut Report) -> Vec<(String, Arc<str>)> {
        let mut files: BTreeSet<PathBuf> = policy_files(folder).unwrap_or_default().into_iter().collect();
        files.extend(self.documents.keys().filter_map(|uri| uri::path_of(uri)).filter(|path| {
            let yaml = path.extension().is_some_and(|extension| extension == "yaml");
            yaml && path.parent() == Some(folder) && path.file_name().is_some_and(|name| name != CONFIG)
        }));
        let mut texts = Vec::new();
        let mut room = MAX_BYTES;
        for file in files.into_iter().take(MAX_FILES) {
            let shown = self.documents.get(&self.uri_of(&file.display().to_string()));
            match shown.map_or_else(|| read(&file), |document| Ok(Arc::clone(&document.text))) {
                Ok(text) if text.len() <= room => {
                    room -= text.len();
                    texts.push((file.display().to_string(), text));
                }
                Ok(_) => {
                    unread.push(Diagnostic::error("unreadable-file", "the policy is too large for an editor"))
                }
                Err(message) => {
                    let message = format!("cannot read `{}`: {message}", file.display());
                    unread.push(Diagnostic::error("unreadable-file", message));
                }
            }
        }
        texts
    }
}

impl Project {
    /// What is known for answering about one of its texts.
    pub(super) fn desk(&self, is_policy: bool) -> Desk<'_> {
        Desk {
            is_policy,
            policy: self.policy.as_deref(),
            sound: self.sound.as_deref(),
            stale: self.stale,
            secrets: &self.secrets,
        }
    }
}

fn compile(texts: &[(String, Arc<str>)], keys: &MaskKeys) -> Loaded {
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_ref())).collect();
    Loaded::from_texts(&texts, keys, Purpose::Check)
}

/// The folder of the policy that a deployment names, also where the rest of it is broken.
fn policies(config: &Path, text: &str) -> Option<PathBuf> {
    let named = editor::text_of(text, &["policies"])?;
    Some(uri::plain(&config.parent()?.join(named.as_ref())))
}

/// Whether files are a policy, and not somebody else's YAML: two sections, one of which others do not have.
fn is_policy(texts: &[(String, Arc<str>)]) -> bool {
    let mut found: BTreeSet<Arc<str>> = BTreeSet::new();
    for (_, text) in texts {
        found.extend(editor::keys_of(text, &[]).into_iter().map(|(name, _)| name));
    }
    let of = |names: &[&str]| names.iter().filter(|name| found.contains(**name)).count();
    let telling = of(&["roles", "apis", "bindings", "guards", "masks", "invariants"]);
    telling > 0 && telling + of(&["labels", "resources", "limits", "approvals", "alerts", "tests"]) > 1
}

/// A text that is YAML: the text itself, or the text without the line that is being typed (or the one above, if a line
/// break was typed), without the line that the parser stumbles over, or without several of these.
fn mend(text: &Arc<str>, edited: Option<usize>) -> Option<Arc<str>> {
    let Some(wrong) = first_wrong(text) else { return Some(Arc::clone(text)) };
    let edited = edited.filter(|line| *line != usize::MAX);
    for line in [edited, edited.and_then(|line| line.checked_sub(1)), Some(wrong)].into_iter().flatten() {
        let without: Arc<str> = without_line(text, line).into();
        if first_wrong(&without).is_none() {
            return Some(without);
        }
    }
    let mut text: Arc<str> = edited.map_or_else(|| Arc::clone(text), |line| without_line(text, line).into());
    for _ in 0..MAX_MENDS {
        let Some(wrong) = first_wrong(&text) else { return Some(text) };
        text = without_line(&text, wrong).into();
    }
    None
}

/// The line at which a text stops being YAML.
fn first_wrong(text: &Arc<str>) -> Option<usize> {
    let mut documents = Documents::new();
    let node = documents.parse("".into(), Arc::clone(text));
    let report = documents.into_report();
    let place = report.diagnostics().first().and_then(|wrong| wrong.place.as_ref());
    let line = place.map(|place| (place.line as usize).saturating_sub(1));
    line.or_else(|| node.is_none().then_some(0))
}

/// The text with spaces in a line's place, so that everything else stays where it is.
fn without_line(text: &str, line: usize) -> String {
    let blank =
        |line: &str| line.chars().map(|c| if matches!(c, '\n' | '\r') { c } else { ' ' }).collect::<String>();
    let lines = text.split_inclusive('\n').enumerate();
    lines.map(|(index, text)| if index == line { blank(text) } else { text.to_owned() }).collect()
}

fn read(path: &Path) -> Result<Arc<str>, String> {
    // A pipe would be waited for.
    if !std::fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(MAX_TEXT as u64 + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() > MAX_TEXT {
        return Err(format!("it is larger than {MAX_TEXT} bytes, too large for an editor"));
    }
    Ok(text.into())
}

/// The file of a deployment.
const CONFIG: &str = "fieldgate.yaml";
/// Texts that an editor may show at once.
const MAX_DOCUMENTS: usize = 1_000;
/// Longest text.
const MAX_TEXT: usize = 16 << 20;
/// Files of one policy.
const MAX_FILES: usize = 10_000;
/// All texts of one policy.
const MAX_BYTES: usize = 256 << 20;
/// Folders above a policy's in which its deployment is looked for.
const MAX_ABOVE: usize = 16;
/// Lines that are left out of a text to make it YAML.
const MAX_MENDS: usize = 6;
/// Policies up to this size are compiled before a question is answered.
const COMPILED_AT_ONCE: usize = 1 << 20;
