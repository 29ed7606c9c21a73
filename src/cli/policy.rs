//! Where commands find the policy they are about.

use std::path::PathBuf;
use std::sync::Arc;

use crate::app;
use crate::app::config::Config;
use crate::base::{Report, Secret};
use crate::policy::{Loaded, MaskKeys, Purpose};
use crate::rewrite::mask::Keys;

/// The command line is wrong in a way that its parser cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Arguments that name a policy.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// The deployment; its policy and the names of its keys are used.
    #[arg(long, value_name = "FILE", env = "FIELDGATE_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// A policy without a deployment: the `*.yaml` files of a directory. Masks get made-up keys.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(super) policies: Option<PathBuf>,
}

/// A policy, and everything that is to be said about it and its deployment.
pub(super) struct Found {
    pub(super) policy: Option<Loaded>,
    pub(super) report: Report,
}

impl Source {
    /// Reads the policy for looking at it: no secret is needed.
    pub(super) fn read(&self) -> anyhow::Result<Found> {
        self.find(|config| {
            Ok(MaskKeys::Named(config.secrets.iter().map(|(name, _)| Arc::clone(name)).collect()))
        })
    }

    /// Reads the policy with the deployment's own keys, so that answers come out as they are served.
    pub(super) fn read_with_keys(&self) -> anyhow::Result<Found> {
        self.find(|config| {
            let mut keys = Keys::default();
            let mut report = Report::default();
            for (name, source) in &config.secrets {
                match source.read() {
                    Ok(secret) => {
                        keys.insert(name.as_ref(), Secret::new(secret.expose().as_bytes().to_vec()));
                    }
                    Err(diagnostic) => report.push(*diagnostic),
                }
            }
            if report.has_errors() { Err(report) } else { Ok(MaskKeys::Given(keys)) }
        })
    }

    fn find(&self, keys: impl FnOnce(&Config) -> Result<MaskKeys, Report>) -> anyhow::Result<Found> {
        let (directory, mut report, keys, config) = match (&self.config, &self.policies) {
            (None, Some(directory)) => (directory.clone(), Report::default(), MaskKeys::Assumed, None),
            (given, None) => {
                let usual = PathBuf::from("fieldgate.yaml");
                let file = match given {
                    Some(file) => file,
                    None if usual.exists() => &usual,
                    None => {
                        let text = "say `--config FILE` or `--policies DIR`: there is no fieldgate.yaml here";
                        return Err(Usage(text.to_owned()).into());
                    }
                };
                let (config, mut report) = Config::load(file);
                let Some(config) = config else { return Ok(Found { policy: None, report }) };
                match keys(&config) {
                    Ok(keys) => (config.policies.clone(), report, keys, Some(config)),
                    Err(further) => {
                        report.extend(further);
                        return Ok(Found { policy: None, report });
                    }
                }
            }
            (Some(_), Some(_)) => {
                return Err(Usage("say either `--config` or `--policies`".to_owned()).into());
            }
        };
        let mut policy = Loaded::read(&[directory], &keys, Purpose::Check);
        report.extend(std::mem::take(&mut policy.report));
        if let (Some(config), Some(plan)) = (&config, &policy.plan) {
            app::fit(config, plan, &mut report);
        }
        report.sort();
        Ok(Found { policy: Some(policy), report })
    }
}
