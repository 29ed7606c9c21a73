//! Complaints as people read them, with the line underlined, and as programs read them.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::json;

use super::{Diagnostic, Place, Report, Severity};

impl Report {
    /// All complaints in the manner of rustc: message, place, the line underlined, path and help. Of very many the
    /// worst [`MOST_SHOWN`] are shown, and the others counted.
    pub fn to_text(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let lines = self.sources.iter().map(|(name, text)| (name.as_ref(), Lines::new(text))).collect();
        let mut room = [0; 3];
        let mut left = MOST_SHOWN;
        for (room, severity) in room.iter_mut().zip(Severity::ALL) {
            *room = left.min(self.count(severity) - self.left_out(severity));
            left -= *room;
        }
        let mut shown = [0_usize; 3];
        let mut out = String::new();
        for diagnostic in self.diagnostics() {
            let at = diagnostic.severity as usize;
            let (Some(shown), Some(room)) = (shown.get_mut(at), room.get(at)) else { continue };
            if *shown < *room {
                *shown += 1;
                out.push_str(&renderer.render(&groups(&lines, diagnostic)));
                out.push_str("\n\n");
            }
        }
        let more: Vec<_> = Severity::ALL
            .into_iter()
            .zip(shown)
            .filter_map(|(severity, shown)| match self.count(severity) - shown {
                0 => None,
                1 => Some(format!("1 {}", severity.name())),
                count => Some(format!("{count} {}s", severity.name())),
            })
            .collect();
        if !more.is_empty() {
            out.push_str(&format!("and {} more\n\n", more.join(", ")));
        }
        out
    }

    /// All complaints as one JSON text: an array of objects with `severity code message help file line column
    /// length path related`.
    pub fn to_json(&self) -> String {
        let all: Vec<_> = self.diagnostics().iter().map(json_of).collect();
        format!("{:#}", serde_json::Value::from(all))
    }
}

/// The texts of files by their names.
type Texts<'t> = HashMap<&'t str, Lines<'t>>;

/// A text that is asked for its lines: it may have a million of them.
struct Lines<'t> {
    text: &'t str,
    starts: OnceCell<Vec<usize>>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, starts: OnceCell::new() }
    }

    /// A line, from 1.
    fn line(&self, number: u32) -> Option<&'t str> {
        let starts = self.starts.get_or_init(|| {
            let ends = memchr::memchr_iter(b'\n', self.text.as_bytes());
            std::iter::once(0).chain(ends.map(|end| end + 1)).collect()
        });
        let start = *starts.get(number.checked_sub(1)? as usize)?;
        self.text.get(start..)?.lines().next()
    }
}

fn groups<'r>(texts: &Texts<'r>, diagnostic: &'r Diagnostic) -> Vec<Group<'r>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(one_line(&diagnostic.message)).id(diagnostic.code);
    let mut group = Group::with_title(title);
    if let Some(place) = &diagnostic.place {
        group = match snippet(texts, place, AnnotationKind::Primary, "") {
            Some(snippet) => group.element(snippet),
            None => group.element(origin(place)),
        };
    }
    for (place, why) in &diagnostic.related {
        group = match snippet(texts, place, AnnotationKind::Context, why) {
            Some(snippet) => group.element(snippet),
            None => group.element(origin(place)),
        };
    }
    if let Some(place) = diagnostic.place.as_ref().filter(|place| place.path != "$") {
        group = group.element(Level::NOTE.no_name().message(format!("at {}", one_line(&place.path))));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(one_line(help)));
    }
    vec![group]
}

/// Only the line in question goes to the renderer: a policy may have a million of them.
fn snippet<'r>(
    texts: &Texts<'r>,
    place: &'r Place,
    kind: AnnotationKind,
    label: &'r str,
) -> Option<Snippet<'r, annotate_snippets::Annotation<'r>>> {
    let line = texts.get(place.file.as_ref())?.line(place.line)?;
    let annotation = kind.span(range_in(line, place));
    let annotation = if label.is_empty() { annotation } else { annotation.label(label) };
    Some(
        Snippet::source(line)
            .path(place.file.as_ref())
            .line_start(place.line as usize)
            .annotation(annotation),
    )
}

fn origin(place: &Place) -> Origin<'_> {
    Origin::path(place.file.as_ref()).line(place.line as usize).char_column(place.column as usize)
}

fn range_in(line: &str, place: &Place) -> Range<usize> {
    let byte_of = |characters: usize| line.char_indices().nth(characters).map_or(line.len(), |(at, _)| at);
    let first = place.column.saturating_sub(1) as usize;
    byte_of(first)..byte_of(first + (place.length as usize).max(1))
}

/// Text of users in messages may hold anything; a terminal sees one line of it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn json_of(diagnostic: &Diagnostic) -> serde_json::Value {
    let related: Vec<_> = diagnostic
        .related
        .iter()
        .map(|(place, why)| {
            json!({
                "file": place.file.as_ref(), "line": place.line, "column": place.column,
                "length": place.length, "path": place.path, "message": why,
            })
        })
        .collect();
    let place = diagnostic.place.as_ref();
    json!({
        "severity": diagnostic.severity.name(),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "help": diagnostic.help,
        "file": place.map(|place| place.file.as_ref()),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "length": place.map(|place| place.length),
        "path": place.map(|place| place.path.as_str()),
        "related": related,
    })
}

/// Complaints that are written out for people.
const MOST_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::super::MOST_KEPT;
    use super::*;

    #[test]
    fn of_very_many_complaints_the_worst_are_shown_and_the_others_counted() {
        let mut report = Report::default();
        let text: String = (0..MOST_KEPT + 5).map(|n| format!("line {n}\n")).collect();
        report.source("p.yaml".into(), text.into());
        let place = |line: usize| Place {
            file: "p.yaml".into(),
            line: line as u32 + 1,
            column: 1,
            length: 4,
            path: "$".into(),
        };
        for line in 0..MOST_KEPT + 5 {
            report.push(Diagnostic::warning("odd", format!("odd {line}")).at(place(line)));
        }
        report.push(Diagnostic::error("wrong", "wrong").at(place(MOST_KEPT)));
        report.sort();
        assert_eq!(report.diagnostics().len(), MOST_KEPT + 1);
        assert_eq!(report.count(Severity::Warning), MOST_KEPT + 5);
        let text = report.to_text(false);
        assert_eq!(text.matches("warning[odd]").count(), MOST_SHOWN - 1);
        assert!(text.contains("error[wrong]") && text.contains("| line 10000"), "{text}");
        assert!(text.ends_with(&format!("and {} warnings more\n\n", MOST_KEPT + 5 - (MOST_SHOWN - 1))));
    }

    fn report() -> Report {
        let mut report = Report::default();
        report.source("p/roles.yaml".into(), "roles:\n  sälés: { inherits: [employe] }\n".into());
        let place = Place {
            file: "p/roles.yaml".into(),
            line: 2,
            column: 23,
            length: 7,
            path: "$.roles.sälés.inherits[0]".into(),
        };
        report.push(
            Diagnostic::error("unknown-role", "unknown role `employe`")
                .help("did you mean `employee`?")
                .at(place),
        );
        report
    }

    #[test]
    fn the_line_is_underlined_and_path_and_help_follow() {
        let text = report().to_text(false);
        assert_eq!(
            text,
            "error[unknown-role]: unknown role `employe`\n \
             --> p/roles.yaml:2:23\n  \
             |\n\
             2 |   sälés: { inherits: [employe] }\n  \
             |                       ^^^^^^^\n  \
             |\n  \
             = at $.roles.sälés.inherits[0]\n  \
             = help: did you mean `employee`?\n\n"
        );
    }

    #[test]
    fn programs_get_every_part() {
        let value: serde_json::Value = serde_json::from_str(&report().to_json()).unwrap();
        assert_eq!(value[0]["code"], "unknown-role");
        assert_eq!((&value[0]["line"], &value[0]["column"]), (&json!(2), &json!(23)));
        assert_eq!(value[0]["path"], "$.roles.sälés.inherits[0]");
        assert_eq!(value[0]["help"], "did you mean `employee`?");
    }

    #[test]
    fn control_characters_of_a_policy_do_not_reach_the_terminal() {
        let mut report = Report::default();
        report.push(Diagnostic::error("x", "bad `\u{1b}[31m\n`"));
        assert!(!report.to_text(false).contains('\u{1b}'));
    }

    #[test]
    fn a_place_outside_the_text_is_named_without_the_line() {
        let mut report = report();
        let place = Place { file: "gone".into(), line: 9, column: 1, length: 0, path: "$".into() };
        report.push(Diagnostic::warning("y", "odd").at(place));
        assert!(report.to_text(false).contains("gone:9:1"));
    }
}
