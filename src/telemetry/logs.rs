//! The program's own log: what an operator did or must know once, as text for people or JSON for machines.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::base::Clock;

use super::lines::{LineLog, Target};
use super::metrics::Metrics;
use super::text::one_line;

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of text.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// What is logged, how and where.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// A level (`info`), or levels by module (`info,fieldgate::audit=debug`).
    pub level: String,
    /// How it looks.
    pub format: LogFormat,
    /// Where it goes.
    pub target: Target,
    /// Whether text is coloured: for a terminal.
    pub colours: bool,
}

/// The log, once it runs. Dropping it writes what is left.
#[derive(Debug)]
pub struct Logs {
    lines: LineLog,
}

/// The line of one event: filled by the formatter, given away when dropped.
struct Event {
    line: Vec<u8>,
    log: EventLog,
}

#[derive(Clone, Debug)]
struct EventLog {
    lines: LineLog,
    format: LogFormat,
    colours: bool,
}

struct ClockTime(Arc<dyn Clock>);

impl Logs {
    /// Starts logging for the whole process. An error says what is wrong with the settings.
    pub fn start(
        settings: LogSettings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        let target = format!("{:?}", settings.target);
        let lines = LineLog::open(NAME, settings.target.clone(), metrics)
            .map_err(|error| format!("log {target} cannot be opened: {error}"))?;
        let subscriber = subscriber(&settings, lines.clone(), clock)?;
        tracing::subscriber::set_global_default(subscriber).map_err(|error| error.to_string())?;
        Ok(Self { lines })
    }

    /// Opens the file again by its name: after it was moved away by a rotation.
    pub fn reopen(&self) {
        self.lines.reopen();
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.lines.flush(LAST_LINES);
    }
}

impl<'w> MakeWriter<'w> for EventLog {
    type Writer = Event;

    fn make_writer(&'w self) -> Event {
        Event { line: Vec::new(), log: self.clone() }
    }
}

impl Write for Event {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        let line = text.trim_end_matches('\n');
        match self.log.format {
            LogFormat::Text => self.log.lines.write(&one_line(line, self.log.colours)),
            // JSON escapes what could end a line.
            LogFormat::Json => self.log.lines.write(line),
        }
    }
}

impl FormatTime for ClockTime {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{:.3}", self.0.now())
    }
}

fn subscriber(
    settings: &LogSettings,
    lines: LineLog,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Subscriber + Send + Sync>, String> {
    let filter = EnvFilter::builder()
        .parse(&settings.level)
        .map_err(|error| format!("log level `{}`: {error}", settings.level))?;
    let log = EventLog { lines, format: settings.format, colours: settings.colours };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(ClockTime(clock))
        .with_ansi(settings.colours && settings.format == LogFormat::Text)
        .with_writer(log);
    Ok(match settings.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// The log's label in metrics.
const NAME: &str = "program";
/// How long the end of the program waits for its last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::fs;

    use tracing::{debug, info, warn};

    use crate::base::ManualClock;

    use super::*;

    fn logged(format: LogFormat, level: &str, log: impl FnOnce()) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let target = Target::File(path.clone());
        let settings = LogSettings { level: level.into(), format, target: target.clone(), colours: false };
        let lines = LineLog::open("program", target, Arc::new(Metrics::new())).unwrap();
        let clock = ManualClock::at("2026-03-01T08:00:00Z".parse().unwrap());
        let subscriber = subscriber(&settings, lines.clone(), Arc::new(clock)).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        lines.flush(Duration::from_secs(60));
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn an_event_is_one_line_whatever_its_fields_hold() {
        let hostile = "a\n2026-03-01T08:00:00Z INFO forged\r\u{1b}[2J\u{202e}";
        let text = logged(LogFormat::Text, "info", || warn!(rule = %hostile, bytes = 7, "answer refused"));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("2026-03-01T08:00:00.000Z  WARN"), "{text}");
        assert!(text.contains("answer refused") && text.contains("bytes=7"), "{text}");
        assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{text}");

        let json = logged(LogFormat::Json, "info", || warn!(rule = %hostile, bytes = 7, "answer refused"));
        assert_eq!(json.lines().count(), 1, "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&value["rule"], &value["bytes"]), (&hostile.into(), &7.into()));
        assert_eq!((&value["message"], &value["level"]), (&"answer refused".into(), &"WARN".into()));
        assert_eq!(value["timestamp"], "2026-03-01T08:00:00.000Z");
    }

    #[test]
    fn levels_can_be_set_by_module() {
        let log = || {
            debug!("ours");
            info!(target: "other", "theirs");
        };
        assert_eq!(logged(LogFormat::Text, "warn,fieldgate=debug", log).lines().count(), 1);
        assert_eq!(logged(LogFormat::Text, "info", log).lines().count(), 1);
        assert_eq!(logged(LogFormat::Text, "error", log), "");
    }

    #[test]
    fn a_level_that_does_not_exist_is_named() {
        let clock = Arc::new(ManualClock::at("2026-03-01T08:00:00Z".parse().unwrap()));
        let metrics = Arc::new(Metrics::new());
        let lines = LineLog::open("program", Target::Stderr, metrics).unwrap();
        let settings = LogSettings {
            level: "fieldgate=loud".into(),
            format: LogFormat::Text,
            target: Target::Stderr,
            colours: false,
        };
        let error = subscriber(&settings, lines, clock).err().unwrap();
        assert!(error.starts_with("log level `fieldgate=loud`: "), "{error}");
    }
}
