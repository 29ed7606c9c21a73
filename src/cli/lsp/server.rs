//! The life of a session: what may be said when, and who answers it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::answers;
use super::text::Lines;
use super::workspace::{Document, Root, Workspace};

/// How a session stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Fresh,
    Running,
    ShutDown,
}

/// Whether the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    GoOn,
    /// `orderly`: it was shut down before.
    Exit {
        orderly: bool,
    },
}

/// A session.
#[derive(Default)]
pub(super) struct Server {
    stage: Stage,
    workspace: Workspace,
    /// URIs about which there are complaints in the editor.
    published: BTreeSet<String>,
    client: answers::Client,
    requests: u64,
}

/// An error of JSON-RPC.
struct Refusal {
    code: i64,
    message: &'static str,
}

impl Server {
    pub(super) fn is_dirty(&self) -> bool {
        self.stage == Stage::Running && self.workspace.is_dirty()
    }

    /// Compiles what has changed and says what is wrong with it.
    pub(super) fn refresh(&mut self) -> Vec<Value> {
        let compiled = self.workspace.compile();
        self.complaints(&compiled)
    }

    /// Answers one message.
    pub(super) fn take(&mut self, body: &[u8]) -> (Vec<Value>, Flow) {
        let Ok(message) = serde_json::from_slice::<Value>(body) else {
            return (vec![error(&Value::Null, &PARSE_ERROR)], Flow::GoOn);
        };
        let id = message.get("id").filter(|id| id.is_string() || id.is_number());
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            // An answer to something the server asked, or nothing that JSON-RPC knows.
            let is_answer =
                id.is_some() && (message.get("result").is_some() || message.get("error").is_some());
            let refused = if is_answer { vec![] } else { vec![error(&Value::Null, &INVALID_REQUEST)] };
            return (refused, Flow::GoOn);
        };
        let none = Value::Null;
        let params = message.get("params").unwrap_or(&none);
        match id {
            Some(id) => (self.request(id, method, params), Flow::GoOn),
            None if method == "exit" => (Vec::new(), Flow::Exit { orderly: self.stage == Stage::ShutDown }),
            None if self.stage == Stage::Running => (self.notified(method, params), Flow::GoOn),
            None => (Vec::new(), Flow::GoOn),
        }
    }

    fn request(&mut self, id: &Value, method: &str, params: &Value) -> Vec<Value> {
        let mut said = Vec::new();
        let result = match (self.stage, method) {
            (Stage::Fresh, "initialize") => {
                self.stage = Stage::Running;
                self.client = answers::Client::of(params);
                Ok(answers::capabilities())
            }
            (Stage::Fresh, _) => Err(NOT_INITIALIZED),
            (Stage::ShutDown, _) | (Stage::Running, "initialize") => Err(INVALID_REQUEST),
            (Stage::Running, "shutdown") => {
                self.stage = Stage::ShutDown;
                Ok(Value::Null)
            }
            (Stage::Running, _) => {
                if let Some(uri) = uri_of(params) {
                    let compiled = self.workspace.freshen(uri);
                    said = self.complaints(&compiled);
                }
                self.answer(method, params)
            }
        };
        said.push(match result {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(refusal) => error(id, &refusal),
        });
        said
    }

    fn answer(&self, method: &str, params: &Value) -> Result<Value, Refusal> {
        let workspace = &self.workspace;
        let known = ["completion", "hover", "definition", "documentSymbol"];
        if !method.strip_prefix("textDocument/").is_some_and(|name| known.contains(&name)) {
            return Err(METHOD_NOT_FOUND);
        }
        let uri = uri_of(params).ok_or(INVALID_PARAMS)?;
        let Some(document) = workspace.document(uri) else { return Ok(Value::Null) };
        if method == "textDocument/documentSymbol" {
            return Ok(answers::symbols(&document.text));
        }
        let position = params.get("position").ok_or(INVALID_PARAMS)?;
        let offset = Lines::of(&document.text).offset_of(position).ok_or(INVALID_PARAMS)?;
        Ok(match method {
            "textDocument/completion" => answers::completion(workspace, uri, document, offset),
            "textDocument/hover" => answers::hover(workspace, uri, document, offset),
            _ => answers::definition(workspace, uri, document, offset),
        })
    }

    fn notified(&mut self, method: &str, params: &Value) -> Vec<Value> {
        match method {
            "initialized" if self.client.watches => {
                self.requests += 1;
                return vec![answers::watch_files(self.requests)];
            }
            "textDocument/didOpen" => return self.opened(params),
            "textDocument/didChange" => return self.changed(params),
            "textDocument/didClose" => {
                if let Some(uri) = uri_of(params) {
                    self.workspace.close(uri);
                }
            }
            "textDocument/didSave" | "workspace/didChangeWatchedFiles" => self.workspace.touch_all(),
            // Everything else may be said and changes nothing, `$/cancelRequest` too: what waits is answered soon.
            _ => {}
        }
        Vec::new()
    }

    fn opened(&mut self, params: &Value) -> Vec<Value> {
        let document = params.get("textDocument").unwrap_or(params);
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let (Some(uri), Some(text)) = (text("uri"), text("text")) else { return Vec::new() };
        let version = document.get("version").and_then(Value::as_i64).unwrap_or(0);
        self.put(uri, Document { text: text.into(), version, edited: usize::MAX })
    }

    fn changed(&mut self, params: &Value) -> Vec<Value> {
        let Some(uri) = uri_of(params) else { return Vec::new() };
        let Some(known) = self.workspace.document(uri) else { return Vec::new() };
        let mut text = known.text.to_string();
        let mut edited = known.edited;
        let changes = params.get("contentChanges").and_then(Value::as_array);
        for change in changes.into_iter().flatten() {
            let Some(new) = change.get("text").and_then(Value::as_str) else { continue };
            match change.get("range") {
                None => text = new.to_owned(),
                Some(range) => {
                    let lines = Lines::of(&text);
                    let Some(range) = lines.bytes_of(range) else { continue };
                    // The line in which the typing ends: what a line break was just typed into is whole.
                    edited = lines.line(range.start) + new.matches('\n').count();
                    text.replace_range(range, new);
                }
            }
            if text.len() > MAX_CHANGED {
                break;
            }
        }
        let version = params.pointer("/textDocument/version").and_then(Value::as_i64).unwrap_or(0);
        let uri = uri.to_owned();
        self.put(&uri, Document { text: text.into(), version, edited })
    }

    fn put(&mut self, uri: &str, document: Document) -> Vec<Value> {
        if uri.len() <= MAX_URI && self.workspace.put(uri, document) {
            return Vec::new();
        }
        let message = "fieldgate: this file is too large, or too many are open; it is not looked at";
        vec![notification("window/showMessage", &json!({ "type": 2, "message": message }))]
    }

    /// Says what is wrong with what was compiled, and takes back what is no longer wrong.
    fn complaints(&mut self, compiled: &[Root]) -> Vec<Value> {
        if compiled.is_empty() {
            return Vec::new();
        }
        let found = answers::diagnostics(&self.workspace, &self.client);
        let mut said = Vec::new();
        for gone in self.published.iter().filter(|uri| !found.contains_key(*uri)) {
            said.push(publish(gone, &Value::Array(Vec::new()), self.workspace.document(gone)));
        }
        self.published = found.keys().cloned().collect();
        for (uri, complaints) in found {
            let document = self.workspace.document(&uri);
            said.push(publish(&uri, &Value::Array(complaints), document));
        }
        said
    }
}

fn publish(uri: &str, complaints: &Value, document: Option<&Document>) -> Value {
    let mut params = Map::new();
    params.insert("uri".into(), uri.into());
    if let Some(document) = document {
        params.insert("version".into(), document.version.into());
    }
    params.insert("diagnostics".into(), complaints.clone());
    notification("textDocument/publishDiagnostics", &Value::Object(params))
}

fn notification(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

fn error(id: &Value, refusal: &Refusal) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": refusal.code, "message": refusal.message } })
}

fn uri_of(params: &Value) -> Option<&str> {
    params.pointer("/textDocument/uri")?.as_str()
}

const PARSE_ERROR: Refusal = Refusal { code: -32700, message: "this is not JSON" };
const INVALID_REQUEST: Refusal = Refusal { code: -32600, message: "this cannot be asked now" };
const METHOD_NOT_FOUND: Refusal = Refusal { code: -32601, message: "nobody answers this method" };
const INVALID_PARAMS: Refusal = Refusal { code: -32602, message: "parameters are missing or wrong" };
const NOT_INITIALIZED: Refusal = Refusal { code: -32002, message: "`initialize` comes first" };

/// No name of a file is longer.
const MAX_URI: usize = 16 << 10;
/// A text that grows longer while changes are made is not looked at.
const MAX_CHANGED: usize = 64 << 20;
