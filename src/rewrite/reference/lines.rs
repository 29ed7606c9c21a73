//! Texts that follow one another: lines, sequences, events.

use super::super::path::Path;
use super::super::plan::Records;
use super::Judge;
use super::tree::{Kind, parse};

/// The lines that hold something.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').filter(|line| !line.trim_matches([' ', '\t', '\r']).is_empty())
}

/// The texts behind each record separator (RFC 7464); `None` if something stands before the first.
pub(crate) fn sequence(text: &str) -> Option<Vec<&str>> {
    let is_blank = |text: &&str| text.trim_matches([' ', '\t', '\r', '\n']).is_empty();
    let mut texts = text.split('\u{1e}');
    texts.next().filter(is_blank)?;
    Some(texts.filter(|text| !is_blank(text)).collect())
}

/// A server-sent event, its lines taken apart.
#[derive(Debug, Default)]
pub(crate) struct Event {
    /// Lines that are neither data nor comment, as they stand.
    others: Vec<String>,
    data: Option<String>,
    comment: bool,
}

/// The events of a stream; `None` if the last one is not finished.
pub(crate) fn events(text: &str) -> Option<Vec<Event>> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop().filter(|rest| rest.is_empty())?;
    let (mut events, mut event, mut begun) = (Vec::new(), Event::default(), false);
    for line in lines {
        if line.is_empty() {
            events.extend(begun.then(|| std::mem::take(&mut event)));
            begun = false;
            continue;
        }
        begun = true;
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => event.comment = true,
            "data" => {
                event.data = Some(match event.data.take() {
                    Some(data) => data + "\n" + value,
                    None => value.to_owned(),
                });
            }
            _ => event.others.push(line.to_owned()),
        }
    }
    (!begun).then_some(events)
}

impl Event {
    /// The event as it would be written anew.
    pub(crate) fn canonical(&self) -> Option<String> {
        let mut text: String = self.others.iter().map(|line| format!("{line}\n")).collect();
        match &self.data {
            Some(data) => text += &format!("data: {}\n", super::compact(data)?),
            None if self.comment => text += ":\n",
            None => {}
        }
        Some(text + "\n")
    }

    fn keep_others(&mut self, keep: &[Path]) {
        self.others.retain(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "retry" => !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
                "id" | "event" => keep.contains(&Path::name(name)),
                _ => false,
            }
        });
    }
}

impl Judge<'_> {
    pub(super) fn lines(&mut self, text: &str) -> Option<String> {
        let mut out = String::new();
        for line in lines(text) {
            out.extend(self.line(line)?.map(|record| record + "\n"));
        }
        Some(out)
    }

    pub(super) fn sequence(&mut self, text: &str) -> Option<String> {
        let mut out = String::new();
        for text in sequence(text)? {
            out.extend(self.line(text)?.map(|record| format!("\u{1e}{record}")));
        }
        Some(out)
    }

    pub(super) fn events(&mut self, text: &str) -> Option<String> {
        let mut out = String::new();
        for mut event in events(text)? {
            event.keep_others(&self.plan.layout.keep);
            match &event.data {
                Some(data) => match self.line(data)? {
                    Some(record) => event.data = Some(record),
                    None => continue,
                },
                None if event.comment || !event.others.is_empty() => {}
                None => continue,
            }
            out += &event.canonical()?;
        }
        Some(out)
    }

    /// One text that is a record. Outer `None`: cut. Inner `None`: not released.
    fn line(&mut self, text: &str) -> Option<Option<String>> {
        let tree = parse(text, self.plan)?;
        let rule = match &self.plan.layout.records {
            Records::One { rule, .. } | Records::Many { rule, .. } => rule,
            Records::None | Records::Rows { .. } => return Some(None),
        };
        if !matches!(tree.kind, Kind::Object(_)) {
            return Some(None);
        }
        Some(self.top(rule, &tree)?.map(|record| record.print()))
    }
}
