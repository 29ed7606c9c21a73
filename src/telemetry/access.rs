//! The access log: one line a request, for the tools that read such logs. It names people; values of query
//! parameters do not enter it. The account of who saw what is the audit's.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use uuid::Uuid;

use super::lines::LineLog;
use super::text::clean;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessFormat {
    /// A JSON object a line.
    #[default]
    Json,
    /// The Combined Log Format of Apache and nginx.
    Combined,
}

/// One request that ended. Texts are given as they came; the log makes them safe.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The id that the caller was told.
    pub id: Uuid,
    /// When it began.
    pub time: Timestamp,
    /// The caller's address.
    pub ip: IpAddr,
    /// The caller's id, where it was authenticated.
    pub principal: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// Path and query as they came.
    pub target: &'a str,
    /// The protocol's version.
    pub version: http::Version,
    /// The route as the policy writes it, where one matched.
    pub route: Option<&'a str>,
    /// The status answered.
    pub status: u16,
    /// Body bytes sent to the caller.
    pub bytes_sent: u64,
    /// From the head to the last byte.
    pub duration: Duration,
    /// How it ended, as in the audit.
    pub outcome: &'static str,
    /// What rules or a policy in shadow would have made of it, where that is something else.
    pub shadow: Option<&'a str>,
    /// The `Referer` field.
    pub referer: Option<&'a str>,
    /// The `User-Agent` field.
    pub user_agent: Option<&'a str>,
}

/// The access log. Clones are the same log.
#[derive(Clone, Debug)]
pub struct AccessLog {
    lines: LineLog,
    format: AccessFormat,
}

impl AccessLog {
    /// A log that goes to `lines`.
    pub fn new(lines: LineLog, format: AccessFormat) -> Self {
        Self { lines, format }
    }

    /// Writes a line. Never waits.
    pub fn write(&self, access: &Access<'_>) {
        let line = match self.format {
            AccessFormat::Json => json(access),
            AccessFormat::Combined => combined(access),
        };
        self.lines.write(&line);
    }

    /// Opens the file again by its name: after it was moved away by a rotation.
    pub fn reopen(&self) {
        self.lines.reopen();
    }
}

fn json(access: &Access<'_>) -> String {
    #[derive(Serialize)]
    struct Line<'l> {
        time: String,
        id: Uuid,
        ip: IpAddr,
        #[serde(skip_serializing_if = "Option::is_none")]
        principal: Option<String>,
        method: String,
        target: String,
        version: &'l str,
        #[serde(skip_serializing_if = "Option::is_none")]
        route: Option<&'l str>,
        status: u16,
        bytes_sent: u64,
        duration_us: u64,
        outcome: &'l str,
        #[serde(skip_serializing_if = "Option::is_none")]
        shadow: Option<&'l str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        referer: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        user_agent: Option<String>,
    }
    let line = Line {
        time: format!("{:.6}", access.time),
        id: access.id,
        ip: access.ip,
        principal: access.principal.map(|text| clean(text, NAME_CAP)),
        method: clean(access.method, METHOD_CAP),
        target: without_values(access.target),
        version: version(access.version),
        route: access.route,
        status: access.status,
        bytes_sent: access.bytes_sent,
        duration_us: u64::try_from(access.duration.as_micros()).unwrap_or(u64::MAX),
        outcome: access.outcome,
        shadow: access.shadow,
        referer: access.referer.map(without_values),
        user_agent: access.user_agent.map(|text| clean(text, AGENT_CAP)),
    };
    // Texts and numbers: there is nothing in it that JSON could not say.
    serde_json::to_string(&line).unwrap_or_default()
}

fn combined(access: &Access<'_>) -> String {
    let quoted = |text: Option<String>| text.map_or_else(|| "-".into(), |text| text.replace('"', "\\u{22}"));
    let user = access.principal.map(|text| clean(text, NAME_CAP).replace(' ', "\\u{20}"));
    format!(
        "{} - {} [{}] \"{} {} {}\" {} {} \"{}\" \"{}\"",
        access.ip,
        quoted(user),
        access.time.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S %z"),
        quoted(Some(clean(access.method, METHOD_CAP))),
        quoted(Some(without_values(access.target))),
        version(access.version),
        access.status,
        access.bytes_sent,
        quoted(access.referer.map(without_values)),
        quoted(access.user_agent.map(|text| clean(text, AGENT_CAP))),
    )
}

/// A path or URL with the names of its query parameters only; a parameter that is not `name=value` is all value.
fn without_values(target: &str) -> String {
    let target = target.split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut shown = clean(path, TARGET_CAP);
    for (index, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        if index == MAX_PARAMETERS {
            shown.push('…');
            break;
        }
        if let Some((name, _)) = parameter.split_once('=') {
            shown.push_str(&clean(name, PARAMETER_CAP));
        }
        shown.push('=');
    }
    shown
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_09 => "HTTP/0.9",
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_11 => "HTTP/1.1",
        http::Version::HTTP_2 => "HTTP/2.0",
        http::Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/?",
    }
}

const NAME_CAP: usize = 128;
const METHOD_CAP: usize = 16;
const TARGET_CAP: usize = 512;
const AGENT_CAP: usize = 256;
const PARAMETER_CAP: usize = 32;
const MAX_PARAMETERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn access<'a>(target: &'a str, agent: &'a str) -> Access<'a> {
        Access {
            id: Uuid::nil(),
            time: "2026-03-01T08:00:00Z".parse().unwrap(),
            ip: IpAddr::from([10, 0, 0, 7]),
            principal: Some("li.na"),
            method: "GET",
            target,
            version: http::Version::HTTP_11,
            route: Some("GET /api/v1/customers"),
            status: 200,
            bytes_sent: 1234,
            duration: Duration::from_micros(5678),
            outcome: "complete",
            shadow: None,
            referer: Some("https://crm.example/list?phone=13800138000#x"),
            user_agent: Some(agent),
        }
    }

    #[test]
    fn json_lines_hold_everything_but_values_of_parameters() {
        let line = json(&access("/api/v1/customers?limit=20&phone=13800138000&secret", "curl/8"));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "time": "2026-03-01T08:00:00.000000Z",
                "id": "00000000-0000-0000-0000-000000000000",
                "ip": "10.0.0.7",
                "principal": "li.na",
                "method": "GET",
                "target": "/api/v1/customers?limit=&phone=&=",
                "version": "HTTP/1.1",
                "route": "GET /api/v1/customers",
                "status": 200,
                "bytes_sent": 1234,
                "duration_us": 5678,
                "outcome": "complete",
                "referer": "https://crm.example/list?phone=",
                "user_agent": "curl/8",
            })
        );
    }

    #[test]
    fn combined_lines_are_as_other_servers_write_them() {
        assert_eq!(
            combined(&access("/api/v1/customers?limit=20", "curl/8")),
            "10.0.0.7 - li.na [01/Mar/2026:08:00:00 +0000] \"GET /api/v1/customers?limit= HTTP/1.1\" 200 1234 \
             \"https://crm.example/list?phone=\" \"curl/8\""
        );
    }

    #[test]
    fn no_text_can_forge_a_line_or_a_column() {
        let hostile = "x\" 200 1 \"-\" \"\n127.0.0.1 - root [x] \"GET / HTTP/1.1\"";
        let mut one = access("/a\"b\r\n", hostile);
        one.principal = Some("a b\"");
        for line in [json(&one), combined(&one)] {
            assert!(!line.contains(['\n', '\r']), "{line}");
        }
        let line = combined(&one);
        assert_eq!(line.matches('"').count(), 6, "{line}");
        assert!(line.starts_with("10.0.0.7 - a\\u{20}b\\u{22} ["), "{line}");
    }

    #[test]
    fn a_line_is_bounded_whatever_comes() {
        let long = format!("/{}?{}", "é".repeat(100_000), "a=1&".repeat(100_000));
        let mut one = access(&long, &long);
        one.principal = Some(&long);
        one.referer = Some(&long);
        for line in [json(&one), combined(&one)] {
            assert!(line.chars().count() < 4000, "{}", line.len());
        }
    }
}
