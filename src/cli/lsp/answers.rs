//! Answers in the editor's terms.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::analysis::editor::{self, Sort, Symbol};
use crate::base::{Diagnostic, Place, Severity};

use super::text::{Lines, bytes_of_place};
use super::uri;
use super::workspace::{Document, Workspace};

/// What the editor can do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Client {
    /// Whether it tells of files that change, when asked to.
    pub(super) watches: bool,
    /// Whether it shows places beside a complaint.
    pub(super) related: bool,
}

impl Client {
    pub(super) fn of(params: &Value) -> Self {
        let says = |at: &str| params.pointer(at).and_then(Value::as_bool).unwrap_or(false);
        Self {
            watches: says("/capabilities/workspace/didChangeWatchedFiles/dynamicRegistration"),
            related: says("/capabilities/textDocument/publishDiagnostics/relatedInformation"),
        }
    }
}

pub(super) fn capabilities() -> Value {
    json!({
        "capabilities": {
            "positionEncoding": "utf-16",
            "textDocumentSync": { "openClose": true, "change": 2, "save": true },
            "completionProvider": { "triggerCharacters": [" ", "[", "{", ",", ":", "-", ".", "\""] },
            "hoverProvider": true,
            "definitionProvider": true,
            "documentSymbolProvider": true,
        },
        "serverInfo": { "name": "fieldgate", "version": env!("CARGO_PKG_VERSION") },
    })
}

/// Asks to be told of files that change outside the editor.
pub(super) fn watch_files(id: u64) -> Value {
    let watchers = json!({ "watchers": [{ "globPattern": "**/*.yaml" }] });
    let registration =
        json!({ "id": "yaml", "method": "workspace/didChangeWatchedFiles", "registerOptions": watchers });
    json!({
        "jsonrpc": "2.0", "id": format!("fieldgate-{id}"), "method": "client/registerCapability",
        "params": { "registrations": [registration] },
    })
}

pub(super) fn completion(workspace: &Workspace, uri: &str, document: &Document, offset: usize) -> Value {
    let Some(project) = workspace.project_of(uri) else { return Value::Null };
    let found = editor::complete(&project.desk(is_policy(uri)), &document.text, offset);
    let lines = Lines::of(&document.text);
    let range = lines.range(&found.replaces);
    let items: Vec<Value> = found
        .items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let mut answer = json!({
                "label": item.name,
                "kind": completion_kind(item.sort),
                // In the order of the policy, not of the alphabet.
                "sortText": format!("{index:05}"),
                "filterText": item.text.trim_end_matches(": "),
                "textEdit": { "range": range, "newText": item.text },
            });
            if !item.detail.is_empty() {
                set(&mut answer, "detail", item.detail.as_str().into());
            }
            if !item.docs.is_empty() {
                set(&mut answer, "documentation", json!({ "kind": "markdown", "value": item.docs }));
            }
            answer
        })
        .collect();
    json!({ "isIncomplete": false, "items": items })
}

pub(super) fn hover(workspace: &Workspace, uri: &str, document: &Document, offset: usize) -> Value {
    let found = workspace
        .project_of(uri)
        .and_then(|project| editor::hover(&project.desk(is_policy(uri)), &document.text, offset));
    let Some(hover) = found else { return Value::Null };
    json!({
        "contents": { "kind": "markdown", "value": hover.markdown },
        "range": Lines::of(&document.text).range(&hover.range),
    })
}

pub(super) fn definition(workspace: &Workspace, uri: &str, document: &Document, offset: usize) -> Value {
    let Some(project) = workspace.project_of(uri) else { return Value::Null };
    let places = editor::definition(&project.desk(is_policy(uri)), &document.text, offset);
    let mut found = Vec::new();
    for place in places {
        if !place.file.is_empty() {
            found.extend(location(workspace, &place));
            continue;
        }
        // A secret, by its name: in the deployment.
        let Some((config, text)) =
            project.config.as_ref().and_then(|path| Some((path, workspace.text(path)?)))
        else {
            continue;
        };
        let keys = editor::keys_of(&text, &["secrets"]);
        for (_, range) in keys.iter().filter(|(name, _)| **name == *place.path) {
            let uri = workspace.uri_of(&config.display().to_string());
            found.push(json!({ "uri": uri, "range": Lines::of(&text).range(range) }));
        }
    }
    Value::Array(found)
}

pub(super) fn symbols(text: &str) -> Value {
    fn all(symbols: &[Symbol], lines: &Lines<'_>) -> Vec<Value> {
        let one = |symbol: &Symbol| {
            json!({
                "name": symbol.name.as_ref(),
                "kind": symbol_kind(symbol.sort),
                "range": lines.range(&symbol.range),
                "selectionRange": lines.range(&symbol.name_range),
                "children": all(&symbol.inside, lines),
            })
        };
        symbols.iter().filter(|symbol| !symbol.name.is_empty()).map(one).collect()
    }
    all(&editor::outline(text), &Lines::of(text)).into()
}

/// What is wrong with every policy that the editor shows, by file.
pub(super) fn diagnostics(workspace: &Workspace, client: &Client) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (uri, report) in workspace.reports() {
        for diagnostic in report.diagnostics() {
            let name = diagnostic.place.as_ref().map(|place| place.file.as_ref());
            let uri = name.map_or_else(|| uri.clone(), |name| workspace.uri_of(name));
            let complaints = found.entry(uri).or_default();
            if complaints.len() < MAX_COMPLAINTS {
                complaints.push(complaint(workspace, report.text(name.unwrap_or("")), diagnostic, client));
            }
        }
    }
    found
}

fn complaint(workspace: &Workspace, text: Option<&str>, diagnostic: &Diagnostic, client: &Client) -> Value {
    let (text, place) = (text.unwrap_or(""), diagnostic.place.as_ref());
    let bytes = place.map_or(0..0, |place| bytes_of_place(text, place.line, place.column, place.length));
    let severity = match diagnostic.severity {
        Severity::Error => 1,
        Severity::Warning => 2,
        Severity::Note => 3,
    };
    let help = diagnostic.help.as_ref().map_or(String::new(), |help| format!("\n{help}"));
    let mut complaint = json!({
        "range": Lines::of(text).range(&bytes),
        "severity": severity,
        "code": diagnostic.code,
        "source": "fieldgate",
        "message": format!("{}{help}", diagnostic.message),
    });
    if client.related && !diagnostic.related.is_empty() {
        let related: Vec<Value> = diagnostic
            .related
            .iter()
            .filter_map(|(place, why)| {
                Some(json!({ "location": location(workspace, place)?, "message": why }))
            })
            .collect();
        set(&mut complaint, "relatedInformation", related.into());
    }
    complaint
}

fn location(workspace: &Workspace, place: &Place) -> Option<Value> {
    let uri = workspace.uri_of(&place.file);
    let text = match workspace.document(&uri) {
        Some(document) => document.text.clone(),
        None => workspace.text(Path::new(place.file.as_ref()))?,
    };
    let bytes = bytes_of_place(&text, place.line, place.column, place.length);
    Some(json!({ "uri": uri, "range": Lines::of(&text).range(&bytes) }))
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// Whether a file is one of a policy; otherwise it is a deployment.
fn is_policy(uri: &str) -> bool {
    uri::path_of(uri).is_none_or(|path| path.file_name().is_none_or(|name| name != "fieldgate.yaml"))
}

/// `CompletionItemKind`.
fn completion_kind(sort: Sort) -> u8 {
    match sort {
        Sort::Key => 10,
        Sort::Word => 12,
        Sort::Field => 5,
        Sort::Label => 20,
        Sort::Resource => 7,
        Sort::Role => 8,
        Sort::Mask => 16,
        Sort::Action => 2,
        Sort::Function => 3,
    }
}

/// `SymbolKind`.
fn symbol_kind(sort: Sort) -> u8 {
    match sort {
        Sort::Key => 3,
        Sort::Word => 15,
        Sort::Field => 8,
        Sort::Label => 22,
        Sort::Resource => 5,
        Sort::Role => 11,
        Sort::Mask => 14,
        Sort::Action => 6,
        Sort::Function => 12,
    }
}

/// Complaints about one file that an editor is given.
const MAX_COMPLAINTS: usize = 1_000;
