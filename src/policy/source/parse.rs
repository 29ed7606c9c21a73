//! Events of the YAML parser become a tree. All duplicate keys are found, not only the first.

use serde_saphyr::granit_parser::{
    Event, Options, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag,
};

use super::tree::{Builder, Built, Complaint, Style, complaint};
use super::{Mark, SourceBounds};

/// Parses one document. Complaints that do not stop the parser come beside the tree.
pub(super) fn parse(text: &str, file: u32, bounds: &SourceBounds) -> Result<Built, Complaint> {
    let mut reader = Reader { text, file, tree: Builder::new(file, bounds), documents: 0 };
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.disallow_directives = false;
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => reader.take(event, &span)?,
            Err(error) => return Err(reader.syntax(&error)),
        }
    }
    Ok(reader.tree.finish())
}

/// A number of the core schema as JSON text.
pub(super) fn json_number(text: &str) -> String {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(|n| n.to_string());
    if let Some(value) = text.strip_prefix("0x").and_then(|digits| radix(digits, 16)) {
        return value;
    }
    if let Some(value) = text.strip_prefix("0o").and_then(|digits| radix(digits, 8)) {
        return value;
    }
    if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() {
        return text.to_owned();
    }
    match text.trim_start_matches('+').parse::<f64>() {
        Ok(value) if value.is_finite() => serde_json::Value::from(value).to_string(),
        _ => "null".to_owned(),
    }
}

struct Reader<'t> {
    text: &'t str,
    file: u32,
    tree: Builder,
    documents: usize,
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Complaint> {
        let range = span.byte_range().unwrap_or(0..0);
        let mark = self.tree.mark(range.start, range.end);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Complaint {
                        help: Some("put each document into a file of its own".into()),
                        ..complaint("several-documents", "a second document starts here", mark)
                    });
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = is_plain(style, tag.as_deref(), mark)?;
                if plain && range.is_empty() {
                    return self.tree.nothing(anchor);
                }
                self.tree.scalar(&text, plain, mark, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                refuse_tag(tag.as_deref(), mark)?;
                self.tree.open_list(style_of(style), mark, anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                refuse_tag(tag.as_deref(), mark)?;
                self.tree.open_map(style_of(style), mark, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.tree.close(mark),
            Event::Alias(id) => self.tree.alias(id, mark),
            _ => Ok(()),
        }
    }

    fn syntax(&self, error: &ScanError) -> Complaint {
        let at = error.marker().byte_offset().and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
        let mark = Mark { file: self.file, start: at, end: at };
        let message = error.info();
        let before = self.text.get(..at as usize).unwrap_or("");
        let after = self.text.get(at as usize..).unwrap_or("");
        let help = if message.contains("tab") {
            Some("indent with spaces".to_owned())
        } else if before.ends_with("[*")
            || before.ends_with("[*]")
            || (before.ends_with('[') && after.starts_with('*'))
        {
            Some("inside `{ }` a path with `[*]` stands in quotes: `\"$.data[*]\"`".to_owned())
        } else if message.contains("flow mapping") && after.starts_with('{') {
            Some("inside `{ }` a text with brackets stands in quotes: `\"GET /customers/{id}\"`".to_owned())
        } else {
            None
        };
        Complaint { help, ..complaint("bad-yaml", &message, mark) }
    }
}

fn style_of(style: StructureStyle) -> Style {
    match style {
        StructureStyle::Flow => Style::Flow,
        _ => Style::Block,
    }
}

fn refuse_tag(tag: Option<&Tag>, mark: Mark) -> Result<(), Complaint> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema_tag("map") || tag.is_yaml_core_schema_tag("seq")) => {
            Err(unknown_tag(tag, mark))
        }
        _ => Ok(()),
    }
}

/// Whether a scalar is resolved by the core schema; in quotes, or tagged as one, it is a text.
fn is_plain(style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Result<bool, Complaint> {
    match tag {
        None => Ok(matches!(style, ScalarStyle::Plain)),
        Some(tag) if tag.is_yaml_core_schema_tag("str") => Ok(false),
        Some(tag) => Err(unknown_tag(tag, mark)),
    }
}

fn unknown_tag(tag: &Tag, mark: Mark) -> Complaint {
    complaint("unknown-tag", &format!("the tag `{}` means nothing here", tag.original()), mark)
}
