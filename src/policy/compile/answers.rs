//! How an api answers and refuses: denial templates, formats, headers that pass.

use std::collections::HashMap;
use std::sync::Arc;

use crate::rewrite::{Csv, Format as AnswerFormat};

use super::Compiler;
use crate::policy::model::{ResourceId, RouteWhen};
use crate::policy::operation::Action;
use crate::policy::permit::DenialShape;
use crate::policy::source::{Word, did_you_mean};
use crate::policy::syntax::{Denials, Format, PartKind, Route};

impl Compiler<'_> {
    pub(super) fn denial_shape(&self, denials: Option<&Denials>) -> DenialShape {
        let default = "{\"error\":{\"code\":{{code}},\"message\":{{message}},\"id\":{{id}}}}";
        let Some(denials) = denials else {
            return DenialShape {
                status: None,
                content_type: "application/json".into(),
                body: default.into(),
            };
        };
        let status = denials.status.and_then(|(status, mark)| {
            let parsed = u16::try_from(status).ok().filter(|status| (200..=599).contains(status));
            let parsed = parsed.and_then(|status| http::StatusCode::from_u16(status).ok());
            // An answer with 401 makes clients log in again, one with 429 or 5xx makes them repeat the request.
            if parsed.is_none() {
                self.documents.error("bad-value", "a status lies between 200 and 599", mark);
            }
            parsed
        });
        let content_type =
            denials.content_type.as_ref().map_or_else(|| "application/json".into(), |w| w.text.clone());
        if let (Some(word), false) = (&denials.content_type, is_header_text(&content_type)) {
            self.documents.error("bad-value", "this is no content type", word.mark);
        }
        let body = denials.body.as_ref().map_or_else(|| default.into(), |word| word.text.clone());
        if let Some(word) = &denials.body {
            self.check_template(word, content_type.contains("json"));
        }
        DenialShape { status, content_type, body }
    }

    fn check_template(&self, word: &Word, json: bool) {
        let mut filled = word.text.to_string();
        for name in ["{{message}}", "{{code}}", "{{id}}"] {
            filled = filled.replace(name, "\"x\"");
        }
        // `{{` is also plain JSON (`{"a":{"b":…}}` ends in `}}`), so only a name in double braces counts.
        let odd =
            filled.split("{{").nth(1).and_then(|rest| rest.split_once("}}")).map(|(name, _)| name.trim());
        let misspelled = odd.filter(|name| !name.is_empty() && name.chars().all(char::is_alphanumeric));
        if let Some(name) = misspelled {
            self.documents.error_with_help(
                "unknown-name",
                format!("`{{{{{name}}}}}` is nothing a denial knows"),
                "known are `{{message}}`, `{{code}}` and `{{id}}`",
                word.mark,
            );
        } else if json && serde_json::from_str::<serde::de::IgnoredAny>(&filled).is_err() {
            self.documents.error_with_help(
                "bad-template",
                "the denial is not JSON once its names are filled in",
                "names become texts with quotes: write `{{message}}` without quotes around it",
                word.mark,
            );
        }
    }

    pub(super) fn answer_format(&self, route: &Route, about: Option<&(Action, ResourceId)>) -> AnswerFormat {
        let delimiter = match route.format {
            Format::Json => return AnswerFormat::Json,
            Format::Ndjson => return AnswerFormat::Ndjson,
            Format::JsonSeq => return AnswerFormat::JsonSeq,
            Format::Sse => return AnswerFormat::Sse,
            Format::Csv(delimiter) => delimiter,
        };
        let mut headers = HashMap::new();
        for (header, field) in &route.columns {
            let Some(path) = self.field_path(field) else { continue };
            let table = about.and_then(|(_, id)| self.tables.resources.get(*id));
            if let Some(table) = table.filter(|table| table.label_at(&path).is_none()) {
                let message = format!("`{}` is no declared field of `{}`", field.text, table.name);
                let help = did_you_mean(&field.text, table.fields.iter().map(|field| field.text.as_ref()))
                    .unwrap_or_else(|| "a column stands for a labelled field".into());
                self.documents.error_with_help("matches-nothing", message, help, field.mark);
            }
            headers.insert(header.text.as_ref().into(), path);
        }
        AnswerFormat::Csv(Csv { delimiter, neutralise_formulas: route.neutralise_formulas, headers })
    }

    /// The headers the route passes, and those that were judged.
    pub(super) fn passing_headers(&self, route: &Route, when: &[RouteWhen]) -> Vec<Arc<str>> {
        let mut headers = self.headers(&route.request_headers);
        headers
            .extend(when.iter().filter(|when| when.kind == PartKind::Header).map(|when| when.name.clone()));
        headers.sort();
        headers.dedup();
        headers
    }

    pub(super) fn headers(&self, words: &[Word]) -> Vec<Arc<str>> {
        let mut headers = Vec::new();
        for word in words {
            let name = word.text.to_lowercase();
            if name.parse::<http::HeaderName>().is_err() {
                self.documents.error("bad-value", format!("`{}` is no header name", word.text), word.mark);
            } else if NEVER_PASSED.contains(&name.as_str()) {
                let message = format!("the header `{name}` is Fieldgate's own business and never passes");
                self.documents.error("forbidden-header", message, word.mark);
            } else {
                headers.push(name.into());
            }
        }
        headers
    }
}

fn is_header_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// Headers that frame messages, carry credentials, or would let a client read around the rewriting.
const NEVER_PASSED: [&str; 26] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "cookie",
    "digest",
    "etag",
    "expect",
    "host",
    "if-match",
    "if-none-match",
    "if-range",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-http-method-override",
    "x-forwarded-for",
];
