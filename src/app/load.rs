//! Files become what requests are decided by: configuration, policy, identity and upstreams, checked together.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::base::{Clock, Diagnostic, Report, Secret};
use crate::identity::{Authorities, AuthoritySet, Identity};
use crate::policy::source::Word;
use crate::policy::syntax::{Binding, Exceed};
use crate::policy::{Loaded, MaskKeys, PUBLIC_REQUESTS, Plan, Purpose};
use crate::proxy::{Snapshot, Tokens};
use crate::rewrite::mask::Keys;
use crate::store::{Seal, SealError, Store};
use crate::telemetry::{Metrics, Vocabulary};
use crate::upstream::{Credentials, Login, OAuth2, TokenSource, UpstreamConfig, Upstreams};

use super::aside;
use super::config::{
    ApiConfig, Config, CredentialConfig, IdentityConfig, ListenerConfig, SecretSource, SourceConfig,
    StoreConfig,
};
use super::kept;

/// A configuration and its policy, for looking at: nothing is opened, no secret is needed.
pub struct Checked {
    /// The configuration; `None` if anything is wrong with it.
    pub config: Option<Config>,
    /// The policy, if the configuration says where it is.
    pub policy: Option<Loaded>,
    /// Everything that was noticed about both.
    pub report: Report,
}

/// Reads a configuration and its policy as `check`, `test`, `apply` and `explain` do.
pub fn check(file: &Path) -> Checked {
    let mut found = checked(Config::load(file), |policies, keys| {
        Loaded::read(&[policies.to_owned()], keys, Purpose::Check)
    });
    if let Some((config, shadow)) =
        found.config.as_ref().and_then(|config| Some((config, config.shadow_policies.as_ref()?)))
    {
        let shadow = Loaded::read(std::slice::from_ref(shadow), &named_keys(config), Purpose::Check);
        found.report.extend(shadow.report);
        if let Some(plan) = &shadow.plan {
            fit(config, plan, &mut found.report);
        }
        found.report.sort();
    }
    found
}

/// The values of the keys do not matter for looking at a policy, but a mask must name one of them.
fn named_keys(config: &Config) -> MaskKeys {
    MaskKeys::Named(config.secrets.iter().map(|(name, _)| Arc::clone(name)).collect())
}

/// The same with texts that are not in files yet: that of the configuration, and those of the policy, which
/// `read` takes from the directory it is given.
pub fn check_text(file: &Path, text: &str, read: impl FnOnce(&Path, &MaskKeys) -> Loaded) -> Checked {
    checked(Config::parse(file, text), read)
}

fn checked(
    (config, mut report): (Option<Config>, Report),
    read: impl FnOnce(&Path, &MaskKeys) -> Loaded,
) -> Checked {
    let Some(config) = config else { return Checked { config: None, policy: None, report } };
    let mut policy = read(&config.policies, &named_keys(&config));
    report.extend(std::mem::take(&mut policy.report));
    if let Some(plan) = &policy.plan {
        fit(&config, plan, &mut report);
    }
    fit_bindings(&config, &policy, &mut report);
    fit_freezes(&config, &policy, &mut report);
    fit_certificates(&config, &mut report);
    config.identity.look(&config.apis).into_iter().for_each(|found| report.push(found));
    report.sort();
    Checked { config: Some(config), policy: Some(policy), report }
}

/// Reads the policy of a configuration to be served, with the deployment's own keys.
fn policy(config: &Config) -> Result<(Loaded, Report), Report> {
    let mut report = Report::default();
    let keys = MaskKeys::Given(keys(config)?);
    let mut loaded = Loaded::read(std::slice::from_ref(&config.policies), &keys, Purpose::Serve);
    report.extend(std::mem::take(&mut loaded.report));
    if let Some(plan) = &loaded.plan {
        fit(config, plan, &mut report);
    }
    fit_freezes(config, &loaded, &mut report);
    fit_certificates(config, &mut report);
    report.sort();
    if report.has_errors() { Err(report) } else { Ok((loaded, report)) }
}

fn keys(config: &Config) -> Result<Keys, Report> {
    let mut report = Report::default();
    let mut keys = Keys::default();
    for (name, source) in &config.secrets {
        match source.read() {
            Ok(secret) => keys.insert(name.as_ref(), Secret::new(secret.expose().as_bytes().to_vec())),
            Err(diagnostic) => report.push(*diagnostic),
        }
    }
    if report.has_errors() { Err(report) } else { Ok(keys) }
}

/// Reads the policy in shadow, which is held to what one in force is held to.
fn shadow(config: &Config, vocabulary: &mut Vocabulary) -> Option<Result<Arc<Plan>, Report>> {
    let directory = config.shadow_policies.as_ref()?;
    let keys = match keys(config) {
        Ok(keys) => MaskKeys::Given(keys),
        Err(report) => return Some(Err(report)),
    };
    let loaded = Loaded::read(std::slice::from_ref(directory), &keys, Purpose::Serve);
    if loaded.plan.is_some() {
        declare(&loaded, vocabulary);
    }
    Some(plan(loaded))
}

/// Warns of bindings to ids that several may vouch for: whoever is called so by one of them has the role.
fn fit_bindings(config: &Config, policy: &Loaded, report: &mut Report) {
    let issuers = config.identity.issuers();
    if issuers.len() < 2 {
        return;
    }
    let names_issuer = |when: &Word| when.as_str().contains("principal.issuer");
    let loose =
        |binding: &&Binding| !binding.users.is_empty() && !binding.when.as_ref().is_some_and(names_issuer);
    let Some(binding) = policy.set.bindings.iter().find(loose) else { return };
    let user = binding.users.first().map_or("", Word::as_str);
    let message = format!("`{user}` is bound by id alone, and ids are vouched for by {}", issuers.join(", "));
    report.push(
        Diagnostic::warning("any-issuer", message)
            .help("say whose id is meant: `when: principal.issuer == \"…\"`")
            .at(config.policies_place.clone()),
    );
}

/// Complains where a limit freezes and nothing remembers it: whoever is frozen would be free after a restart.
fn fit_freezes(config: &Config, policy: &Loaded, report: &mut Report) {
    let freezes = policy.set.limits.iter().find(|limit| limit.on_exceed == Exceed::Freeze);
    if let (Some(limit), StoreConfig::Memory) = (freezes, &config.store) {
        let message =
            format!("limit `{}` freezes, and `store: memory` forgets it at the next start", limit.name.text);
        report.push(
            Diagnostic::error("freeze-forgotten", message)
                .help("give the deployment a store that lasts, such as `store: fieldgate.db`")
                .at(config.policies_place.clone()),
        );
    }
}

/// Complains where listeners and `identity.certificates` do not fit.
fn fit_certificates(config: &Config, report: &mut Report) {
    let authorities = config.identity.authorities();
    let asks = |listener: &&ListenerConfig| listener.tls.as_ref().is_some_and(|tls| tls.clients.is_some());
    for listener in config.listeners.iter().filter(asks).filter(|_| authorities.is_empty()) {
        let message = format!("listener `{}` asks for certificates that nobody vouches for", listener.name);
        report.push(
            Diagnostic::error("no-authority", message)
                .help("name who does in `identity.certificates`, or leave `client_certificates` out")
                .at(listener.place.clone()),
        );
    }
    if !authorities.is_empty() && !config.listeners.iter().any(|listener| asks(&listener)) {
        let warning = Diagnostic::warning("unused-authority", "no listener asks callers for certificates")
            .help("add `client_certificates: optional` or `required` to the `tls` of a listener");
        report.push(match config.identity.authority_place(0) {
            Some(place) => warning.at(place.clone()),
            None => warning,
        });
    }
}

/// Complains where policy and configuration do not speak of the same APIs.
fn fit(config: &Config, plan: &Plan, report: &mut Report) {
    let routed: BTreeSet<&str> = plan.routes().map(|route| route.api.as_ref()).collect();
    let known: BTreeSet<&str> = config.apis.iter().map(|api| api.name.as_ref()).collect();
    for api in routed.difference(&known) {
        report.push(
            Diagnostic::error("no-upstream", format!("api `{api}` of the policy has no upstream"))
                .help(format!("add `{api}: {{ url: … }}` to `apis`"))
                .at(config.policies_place.clone()),
        );
    }
    for api in config.apis.iter().filter(|api| !routed.contains(api.name.as_ref())) {
        report.push(
            Diagnostic::warning("unused-api", format!("api `{}` has no route in the policy", api.name))
                .help("nothing gets through to it")
                .at(api.place.clone()),
        );
    }
}

/// Sets up the upstreams of a configuration.
pub(super) fn upstreams(
    apis: &[ApiConfig],
    seal: &Arc<Seal>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> Result<Upstreams, Report> {
    let mut report = Report::default();
    let configs: Vec<UpstreamConfig> = apis.iter().map(|api| upstream(api, seal, &mut report)).collect();
    if report.has_errors() {
        return Err(report);
    }
    Upstreams::new(configs, Arc::clone(clock), metrics).map_err(|errors| {
        let mut report = Report::default();
        for error in errors {
            report.push(Diagnostic::error("upstream", error.to_string()));
        }
        report
    })
}

fn upstream(api: &ApiConfig, seal: &Arc<Seal>, report: &mut Report) -> UpstreamConfig {
    // A secret that is not there now is a mistake now, not when the first caller comes.
    let mut secret = |source: &SecretSource| {
        if let Err(missing) = source.read() {
            report.push(*missing);
        }
        source.reader()
    };
    let credentials = match &api.credential {
        CredentialConfig::None => Credentials::None,
        CredentialConfig::Pass => Credentials::Pass,
        CredentialConfig::Own { source, put, expired } => {
            let source = match source.as_ref() {
                SourceConfig::Fixed(source) => TokenSource::Fixed(secret(source)),
                SourceConfig::OAuth2(config) => TokenSource::OAuth2(Box::new(OAuth2 {
                    token_url: config.token_url.clone(),
                    client_id: Arc::clone(&config.client_id),
                    client_secret: secret(&config.client_secret),
                    refresh_token: config.refresh_token.as_ref().map(&mut secret),
                    keeper: config.refresh_state.clone().map(|path| {
                        let url = config.token_url.to_string();
                        kept::keeper(path, seal, &api.name, &url, &config.client_id)
                    }),
                    scopes: config.scopes.clone(),
                    parameters: config.parameters.clone(),
                    trust: config.trust.clone(),
                    in_body: config.in_body,
                })),
                SourceConfig::Login(config) => TokenSource::Login(Box::new(Login {
                    method: config.method.clone(),
                    target: config.target.clone(),
                    body: config.body.clone(),
                    secrets: config
                        .secrets
                        .iter()
                        .map(|(name, source)| (Arc::clone(name), secret(source)))
                        .collect(),
                    token: config.token.clone(),
                    lifetime: config.lifetime,
                })),
            };
            Credentials::Own { source, put: put.clone(), expired: expired.clone() }
        }
    };
    UpstreamConfig {
        api: Arc::clone(&api.name),
        bases: api.urls.clone(),
        host: api.host.clone(),
        trust: api.trust.clone(),
        certificate: api.certificate.clone(),
        http2: api.http2,
        credentials,
        timeouts: api.timeouts.clone(),
        max_connections: api.max_connections,
        max_pending: api.max_pending,
        retries: api.retries,
        breaker: api.breaker,
        health: api.health.clone(),
        sniff_gzip: api.sniff_gzip,
        compression: api.compression,
    }
}

/// Reads the authorities over client certificates.
pub(super) fn authorities(config: &IdentityConfig) -> Result<AuthoritySet, Report> {
    AuthoritySet::read(&config.authorities()).map_err(|errors| {
        let mut report = Report::default();
        for error in errors {
            let diagnostic = Diagnostic::error("client-authority", error.message);
            report.push(match config.authority_place(error.index) {
                Some(place) => diagnostic.at(place.clone()),
                None => diagnostic,
            });
        }
        report
    })
}

/// Sets up who callers are.
pub(super) fn identity(
    config: &IdentityConfig,
    apis: &[ApiConfig],
    store: &Store,
    authorities: &Arc<Authorities>,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> Result<Identity, Report> {
    let refused = |diagnostics: Vec<Diagnostic>| {
        let mut report = Report::default();
        diagnostics.into_iter().for_each(|diagnostic| report.push(diagnostic));
        report
    };
    let (config, places) = config.resolve(apis).map_err(refused)?;
    Identity::new(
        config,
        Some(store.clone()),
        Arc::clone(authorities),
        Arc::clone(metrics),
        Arc::clone(clock),
    )
    .map_err(|faults| refused(faults.into_iter().map(|fault| places.locate(fault)).collect()))
}

/// What the files say, ready to be put in force.
pub(super) struct Prepared {
    pub(super) config: Config,
    pub(super) plan: Arc<Plan>,
    /// The policy in shadow. One that cannot be read is not asked, and in nobody's way.
    pub(super) shadow: Option<Result<Arc<Plan>, Report>>,
    pub(super) vocabulary: Vocabulary,
    pub(super) warnings: Report,
}

/// Reads a configuration and its policy. With a large policy this takes seconds, also to drop what was read: it belongs
/// on a thread that serves nobody.
pub(super) fn prepare(file: &Path) -> Result<Prepared, Report> {
    let (config, report) = Config::load(file);
    config.map_or(Err(report), prepare_policy)
}

/// Reads the policy of a configuration.
pub(super) fn prepare_policy(config: Config) -> Result<Prepared, Report> {
    let (policy, warnings) = policy(&config)?;
    let mut vocabulary = vocabulary(&config, &policy);
    let shadow = shadow(&config, &mut vocabulary);
    Ok(Prepared { config, plan: plan(policy)?, shadow, vocabulary, warnings })
}

/// The plan of a policy that was loaded to be served.
fn plan(mut policy: Loaded) -> Result<Arc<Plan>, Report> {
    let Some(plan) = policy.plan.take() else { return Err(policy.report) };
    // The texts and what they say, of which there may be a million, are no longer needed.
    aside::begin(move || drop(policy));
    Ok(Arc::new(plan))
}

/// Everything that decides about requests.
pub(super) fn snapshot(
    config: Config,
    (plan, shadow): (Arc<Plan>, Option<Arc<Plan>>),
    store: &Store,
    seal: Option<Arc<Seal>>,
    authorities: &Arc<Authorities>,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> Result<Snapshot, Report> {
    let public_urls = config
        .listeners
        .iter()
        .filter_map(|listener| Some((Arc::clone(&listener.name), listener.public_url.clone()?)));
    let public_urls = public_urls.collect();
    let tokens = tokens(&config, seal)?;
    Ok(Snapshot {
        plan,
        shadow,
        public_urls,
        upstreams: upstreams(&config.apis, &tokens.seal, clock, metrics)?,
        tokens: Arc::new(tokens),
        identity: Arc::new(identity(&config.identity, &config.apis, store, authorities, metrics, clock)?),
        bounds: config.bounds.request,
        body_time: config.bounds.body_time,
    })
}

/// What callers are given to bring back. `random` is the key in use where the configuration names none.
fn tokens(config: &Config, random: Option<Arc<Seal>>) -> Result<Tokens, Report> {
    let refused = |diagnostic: Diagnostic| {
        let mut report = Report::default();
        report.push(diagnostic);
        report
    };
    let unfit = |error: SealError| Diagnostic::error("wrong-key", error.to_string());
    let seal = match (&config.sealing, random) {
        (None, Some(random)) => random,
        (None, None) => Arc::new(Seal::random().map_err(|error| refused(unfit(error)))?),
        (Some(sealing), _) => {
            let key = sealing.key.read().map_err(|found| refused(*found))?;
            let previous = sealing.previous_key.as_ref().map(SecretSource::read).transpose();
            let previous = previous.map_err(|found| refused(*found))?;
            let wrong = |error| {
                let help = "take at least 32 random bytes, such as `openssl rand -base64 32` prints";
                refused(unfit(error).help(help).at(sealing.key.place.clone()))
            };
            Arc::new(Seal::new(&key, previous.as_ref()).map_err(wrong)?)
        }
    };
    let withheld = config.apis.iter().filter(|api| api.withhold_etags);
    Ok(Tokens { seal, withheld: withheld.map(|api| Arc::clone(&api.name)).collect() })
}

/// The names that may become labels of metrics.
fn vocabulary(config: &Config, policy: &Loaded) -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    vocabulary.listeners.extend(config.listeners.iter().map(|listener| Arc::clone(&listener.name)));
    vocabulary.listeners.insert("admin".into());
    declare(policy, &mut vocabulary);
    vocabulary.limits.extend(policy.set.limits.iter().map(|limit| Arc::clone(&limit.name.text)));
    vocabulary.limits.insert(PUBLIC_REQUESTS.into());
    vocabulary
}

/// Adds the names of a policy.
fn declare(policy: &Loaded, vocabulary: &mut Vocabulary) {
    for route in policy.plan.iter().flat_map(Plan::routes) {
        vocabulary.routes.insert(Arc::clone(&route.name));
        vocabulary.apis.insert(Arc::clone(&route.api));
        if let Some(action) = &route.action {
            vocabulary.actions.insert(action.name().into());
        }
    }
    for resource in &policy.set.resources {
        vocabulary.resources.insert(Arc::clone(&resource.name.text));
        for (_, field) in &resource.fields {
            vocabulary.fields.insert((Arc::clone(&resource.name.text), Arc::clone(&field.text)));
        }
    }
}
