//! Takes the configuration's tree apart.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::Diagnostic;
use crate::identity::ClientPolicy;
use crate::policy::source::{Documents, Fields, Node, Value, Word, members, number, word};
use crate::proxy::{Announcers, ConnectionBounds, HeadBounds, TlsFiles};
use crate::request::RequestBounds;

use super::{
    AccessLogConfig, AdminConfig, AuditConfig, BoundsConfig, Config, ListenerConfig, LogsConfig,
    SealingConfig, SecretAt, SecretSource, StoreConfig, SyncConfig, units,
};

/// Reads the whole file. What is wrong is in the report of `documents`; the value is then not to be used.
pub(super) fn config(documents: &Documents, file: &Path, root: &Node) -> Option<Config> {
    let fields = Fields::of(documents, root, "the configuration")?;
    let seals = fields.node("sealing").is_some();
    let reader = Reader { documents, base: file.parent().unwrap_or(Path::new("")), seals };
    let listeners = fields.required("listeners").map(|node| reader.listeners(node)).unwrap_or_default();
    let admin = fields.node("admin").and_then(|node| reader.admin(node));
    let apis = fields.required("apis").map(|node| reader.apis(node)).unwrap_or_default();
    let identity = fields.node("identity").and_then(|node| reader.identity(node)).unwrap_or_default();
    let policies = fields.required("policies").and_then(|node| reader.policies(node));
    let sealing = fields.node("sealing").map(|node| reader.sealing(node));
    let secrets = fields.node("secrets").map(|node| reader.secrets(node)).unwrap_or_default();
    let store = fields.node("store").and_then(|node| reader.store(node)).unwrap_or(StoreConfig::Memory);
    let audit = fields.required("audit").and_then(|node| reader.audit(node));
    let logs = fields.node("logs").map_or_else(|| Some(no_logs()), |node| reader.logs(node));
    let bounds = fields.node("bounds").and_then(|node| reader.bounds(node)).unwrap_or_default();
    let drain = reader.duration(&fields, "drain", Duration::from_secs(30));
    fields.finish();
    reader.different_addresses(&listeners, admin.as_ref());
    let (policies, shadow_policies) = policies?;
    Some(Config {
        file: file.to_owned(),
        listeners,
        admin,
        apis,
        identity,
        policies: reader.path(&policies),
        shadow_policies: shadow_policies.map(|shadow| reader.path(&shadow)),
        policies_place: documents.place(policies.mark),
        sealing: sealing.map_or(Some(None), |found| found.map(Some))?,
        secrets,
        store,
        audit: audit?,
        logs: logs?,
        bounds,
        drain,
    })
}

pub(super) struct Reader<'d> {
    pub(super) documents: &'d Documents,
    base: &'d Path,
    /// Whether there is a key that outlives a restart.
    pub(super) seals: bool,
}

impl Reader<'_> {
    /// A directory, or one with another in shadow.
    fn policies(&self, node: &Node) -> Option<(Word, Option<Word>)> {
        if !matches!(node.value, Value::Map(_)) {
            return word(self.documents, node).map(|dir| (dir, None));
        }
        let fields = Fields::of(self.documents, node, "`policies`")?;
        let (dir, shadow) = (fields.required_text("dir"), fields.text("shadow"));
        fields.finish();
        if let (Some(dir), Some(shadow)) = (&dir, &shadow)
            && self.path(dir) == self.path(shadow)
        {
            self.documents.error_with_help(
                "shadow-of-itself",
                "the policy in shadow is the one in force",
                "name another directory, or leave `shadow` out",
                shadow.mark,
            );
        }
        dir.map(|dir| (dir, shadow))
    }

    fn listeners(&self, node: &Node) -> Vec<ListenerConfig> {
        let all = members(self.documents, node, "`listeners`");
        if all.is_empty() {
            self.documents.error_with_help(
                "no-listener",
                "no listener: nobody can reach the gateway",
                "add one, such as `public: { address: 127.0.0.1:8080 }`",
                node.mark,
            );
        }
        all.iter().filter_map(|(name, node)| self.listener(name, node)).collect()
    }

    fn listener(&self, name: &Word, node: &Node) -> Option<ListenerConfig> {
        let fields = Fields::of(self.documents, node, "a listener")?;
        let address = self.address(&fields);
        let tls = fields.node("tls").map(|node| self.tls(node));
        let http2 = fields.flag("http2").unwrap_or(true);
        let announcers = fields.node("proxy_protocol").map(|node| self.announcers(node)).unwrap_or_default();
        let public_url = fields.text("public_url").map(|word| self.public_url(&word));
        let place = self.documents.place(name.mark);
        fields.finish();
        let tls = match tls {
            Some(files) => Some(files?),
            None => None,
        };
        let public_url = match public_url {
            Some(url) => Some(url?),
            None => None,
        };
        let name = name.text.clone();
        Some(ListenerConfig { name, address: address?, tls, http2, announcers, public_url, place })
    }

    /// Who has to speak the PROXY protocol.
    fn announcers(&self, node: &Node) -> Announcers {
        let Some(fields) = Fields::of(self.documents, node, "`proxy_protocol`") else {
            return Announcers::default();
        };
        let from = self.networks(fields.texts("from"));
        let named = !from.is_empty();
        fields.finish();
        if !named {
            self.documents.error_with_help(
                "nobody-listed",
                "`proxy_protocol` lists nobody whose word counts",
                "name the balancers: `{ from: [10.0.0.0/24] }`",
                node.mark,
            );
        }
        Announcers(from)
    }

    /// Scheme and host, and nothing behind them.
    fn public_url(&self, word: &Word) -> Option<Box<str>> {
        let text = word.as_str().trim_end_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let fits = host.is_some_and(|host| {
            host.chars().all(plain)
                && host.parse::<http::uri::Authority>().is_ok_and(|host| !host.host().is_empty())
        });
        if !fits {
            self.documents.error_with_help(
                "wrong-url",
                format!("`{}` is not what callers know a listener by", word.text),
                "write scheme and host, perhaps a port, such as `https://crm.example.com`",
                word.mark,
            );
        }
        fits.then(|| text.into())
    }

    fn sealing(&self, node: &Node) -> Option<SealingConfig> {
        let fields = Fields::of(self.documents, node, "`sealing`")?;
        let key = fields.required("key").and_then(|node| self.secret(node));
        let previous = fields.node("previous_key").map(|node| self.secret(node));
        fields.finish();
        Some(SealingConfig { key: key?, previous_key: previous.map_or(Some(None), |found| found.map(Some))? })
    }

    fn tls(&self, node: &Node) -> Option<TlsFiles> {
        let fields = Fields::of(self.documents, node, "`tls`")?;
        let certificate = fields.required_text("certificate");
        let key = fields.required_text("key");
        let policies = [
            ("none", None),
            ("optional", Some(ClientPolicy::Optional)),
            ("required", Some(ClientPolicy::Required)),
        ];
        let clients = fields.choice("client_certificates", &policies).flatten();
        fields.finish();
        Some(TlsFiles { certificate: self.path(&certificate?), key: self.path(&key?), clients })
    }

    fn admin(&self, node: &Node) -> Option<AdminConfig> {
        let fields = Fields::of(self.documents, node, "`admin`")?;
        let address = self.address(&fields);
        fields.finish();
        let address = address?;
        if !address.ip().is_loopback() {
            self.documents.push(
                Diagnostic::warning(
                    "open-admin",
                    format!("the admin listener on `{address}` shows metrics to everybody who can reach it"),
                )
                .help("keep it on 127.0.0.1, or let a firewall guard it")
                .at(self.documents.place(node.mark)),
            );
        }
        Some(AdminConfig { address, place: self.documents.place(node.mark) })
    }

    fn different_addresses(&self, listeners: &[ListenerConfig], admin: Option<&AdminConfig>) {
        let named = listeners.iter().map(|listener| (listener.address, &listener.place));
        let all: Vec<_> = named.chain(admin.map(|admin| (admin.address, &admin.place))).collect();
        for (index, (address, place)) in all.iter().enumerate() {
            let earlier = all.iter().take(index).find(|(other, _)| other == address && address.port() != 0);
            if let Some((_, first)) = earlier {
                self.documents.push(
                    Diagnostic::error("duplicate-address", format!("two listeners on `{address}`"))
                        .at((*place).clone())
                        .related((*first).clone(), "first used here"),
                );
            }
        }
    }

    fn secrets(&self, node: &Node) -> Vec<(Arc<str>, SecretSource)> {
        let all = members(self.documents, node, "`secrets`");
        all.iter().filter_map(|(name, node)| Some((name.text.clone(), self.secret(node)?))).collect()
    }

    /// Where a secret is; one that is written down is refused.
    pub(super) fn secret(&self, node: &Node) -> Option<SecretSource> {
        if !matches!(node.value, Value::Map(_)) {
            self.documents.error_with_help(
                "secret-in-clear",
                "a secret is not written into the configuration",
                "name where it is: `{ env: NAME }`, `{ file: PATH }` or `{ command: [PROGRAM, …] }`",
                node.mark,
            );
            return None;
        }
        let fields = Fields::of(self.documents, node, "a secret")?;
        let command = fields.texts("command").filter(|words| !words.is_empty());
        let at = match (fields.text("env"), fields.text("file"), command) {
            (Some(name), None, None) => Some(SecretAt::Env(name.as_str().to_owned())),
            (None, Some(file), None) => Some(SecretAt::File(self.path(&file))),
            (None, None, Some(words)) => {
                Some(SecretAt::Command(words.iter().map(|word| word.as_str().to_owned()).collect()))
            }
            _ => {
                let message = "a secret is in `env`, in `file` or printed by a `command`, one of them";
                self.documents.error("wrong-secret", message, node.mark);
                None
            }
        };
        fields.finish();
        Some(SecretSource { place: self.documents.place(node.mark), at: at? })
    }

    fn store(&self, node: &Node) -> Option<StoreConfig> {
        match &node.value {
            Value::Text(text) if text.as_ref() == "memory" => Some(StoreConfig::Memory),
            Value::Text(text) if text.contains("://") => {
                self.documents.error_with_help(
                    "secret-in-clear",
                    "a database address holds a password",
                    "name where it is: `{ env: NAME }` or `{ file: PATH }`; a plain text here is a SQLite file",
                    node.mark,
                );
                None
            }
            Value::Text(text) => {
                Some(StoreConfig::File(self.path(&Word { text: text.clone(), mark: node.mark })))
            }
            _ => self.secret(node).map(StoreConfig::Url),
        }
    }

    fn audit(&self, node: &Node) -> Option<AuditConfig> {
        let fields = Fields::of(self.documents, node, "`audit`")?;
        let dir = fields.required_text("dir");
        let segment_bytes = self.size(&fields, "segment", 256 << 20);
        let sync =
            fields.text("sync").map_or(SyncConfig::Every(Duration::from_secs(1)), |word| self.sync(&word));
        let key = fields.node("key").map(|node| self.secret(node));
        let max_in_flight = self.count(&fields, "max_in_flight", 20_000);
        fields.finish();
        let key = match key {
            Some(source) => Some(source?),
            None => None,
        };
        Some(AuditConfig { dir: self.path(&dir?), segment_bytes, sync, key, max_in_flight })
    }

    fn sync(&self, word: &Word) -> SyncConfig {
        match word.as_str() {
            "never" => SyncConfig::Never,
            "always" => SyncConfig::Always,
            text => match units::duration(text) {
                Some(every) => SyncConfig::Every(every),
                None => {
                    let message = format!("unknown value `{text}` of `sync`");
                    let help = "it is `always`, `never`, or how often, such as `1s`";
                    self.documents.error_with_help("unknown-value", message, help, word.mark);
                    SyncConfig::Always
                }
            },
        }
    }

    fn logs(&self, node: &Node) -> Option<LogsConfig> {
        let fields = Fields::of(self.documents, node, "`logs`")?;
        let level = fields.text("level").map_or_else(|| Arc::from("info"), |word| word.text);
        let json = fields.choice("format", &[("text", false), ("json", true)]).unwrap_or(false);
        let access = fields.node("access").and_then(|node| self.access(node));
        fields.finish();
        Some(LogsConfig { level, json, access })
    }

    fn access(&self, node: &Node) -> Option<AccessLogConfig> {
        let fields = Fields::of(self.documents, node, "`access`")?;
        let file = fields.text("file").map(|word| self.path(&word));
        let json = fields.choice("format", &[("json", true), ("combined", false)]).unwrap_or(true);
        fields.finish();
        Some(AccessLogConfig { file, json })
    }

    fn bounds(&self, node: &Node) -> Option<BoundsConfig> {
        let BoundsConfig { connection, request, body_time } = BoundsConfig::default();
        let fields = Fields::of(self.documents, node, "`bounds`")?;
        let heads = HeadBounds {
            head_bytes: self.bytes(&fields, "head", connection.heads.head_bytes),
            target_bytes: self.bytes(&fields, "target", connection.heads.target_bytes),
            fields: self.count(&fields, "headers", connection.heads.fields),
        };
        let connection = ConnectionBounds {
            connections: self.count(&fields, "connections", connection.connections),
            handshake: self.duration(&fields, "handshake_time", connection.handshake),
            head: self.duration(&fields, "head_time", connection.head),
            write: self.duration(&fields, "write_time", connection.write),
            heads,
            streams: u32::try_from(self.count(&fields, "streams", connection.streams as usize))
                .unwrap_or(u32::MAX),
        };
        let request =
            RequestBounds { body_bytes: self.bytes(&fields, "body", request.body_bytes), ..request };
        let body_time = self.duration(&fields, "body_time", body_time);
        fields.finish();
        Some(BoundsConfig { connection, request, body_time })
    }

    fn address(&self, fields: &Fields<'_>) -> Option<SocketAddr> {
        let word = fields.required_text("address")?;
        let address = word.as_str().parse().ok();
        if address.is_none() {
            self.documents.error_with_help(
                "wrong-address",
                format!("`{}` is not an address and port", word.text),
                "write an IP address and a port, such as `127.0.0.1:8080` or `[::]:8443`",
                word.mark,
            );
        }
        address
    }

    pub(super) fn path(&self, word: &Word) -> PathBuf {
        self.base.join(word.as_str())
    }

    pub(super) fn duration(&self, fields: &Fields<'_>, name: &'static str, usual: Duration) -> Duration {
        let Some(word) = fields.text(name) else { return usual };
        let found = units::duration(word.as_str()).filter(|duration| !duration.is_zero());
        found.unwrap_or_else(|| {
            self.unit(
                &word,
                name,
                "a duration",
                "write a number and a unit (`ms`, `s`, `m`, `h`, `d`), such as `30s`",
            );
            usual
        })
    }

    fn size(&self, fields: &Fields<'_>, name: &'static str, usual: u64) -> u64 {
        let Some(word) = fields.text(name) else { return usual };
        let found = units::size(word.as_str()).filter(|size| *size > 0);
        found.unwrap_or_else(|| {
            self.unit(
                &word,
                name,
                "a size",
                "write a number and a unit (`KiB`, `MiB`, `GiB`), such as `1MiB`",
            );
            usual
        })
    }

    fn bytes(&self, fields: &Fields<'_>, name: &'static str, usual: usize) -> usize {
        usize::try_from(self.size(fields, name, usual as u64)).unwrap_or(usual)
    }

    pub(super) fn count(&self, fields: &Fields<'_>, name: &'static str, usual: usize) -> usize {
        let Some(node) = fields.node(name) else { return usual };
        let Some(count) = number(self.documents, node) else { return usual };
        match usize::try_from(count) {
            Ok(count) if (1..=MAX_COUNT).contains(&count) => count,
            _ => {
                let message = format!("`{name}` is between 1 and {MAX_COUNT}");
                self.documents.error("out-of-range", message, node.mark);
                usual
            }
        }
    }

    pub(super) fn unit(&self, word: &Word, name: &str, what: &str, help: &str) {
        let message = format!("`{}` of `{name}` is not {what}", word.text);
        self.documents.error_with_help("wrong-unit", message, help, word.mark);
    }
}

/// Warnings and what an operator has to know, on standard error; no access log.
fn no_logs() -> LogsConfig {
    LogsConfig { level: "info".into(), json: false, access: None }
}

/// No count in a configuration is meant to be larger.
const MAX_COUNT: usize = 10_000_000;
