//! What rules and policies in shadow would have changed.

use super::super::names::label;
use super::Metrics;

impl Metrics {
    /// Rules or a policy in shadow were asked about a request.
    pub fn foreseen(&self, api: &str, action: &str, of: &'static str, effect: &'static str) {
        let known = self.known.load();
        let api = known.names.apis.get(api).map_or(other_than_none(api), |name| name);
        let action = known.names.actions.get(action).map_or(other_than_none(action), |name| name);
        self.shadow_decisions.with_label_values(&[api, action, of, effect]).inc();
    }

    /// Fields that would have been treated otherwise: resource, field and how.
    pub fn fields_foreseen<'f>(&self, fields: impl IntoIterator<Item = (&'f str, &'f str, &'static str)>) {
        let mut fields = fields.into_iter().peekable();
        if fields.peek().is_none() {
            return;
        }
        let known = self.known.load();
        for (resource, field, access) in fields {
            let resource = known.names.resources.get(resource).map_or(label::OTHER, |name| name);
            let declared = known.names.fields.iter().any(|(r, f)| **r == *resource && **f == *field);
            let field = if declared { field } else { label::OTHER };
            self.shadow_fields.with_label_values(&[resource, field, access]).inc();
        }
    }

    /// The policy in shadow, if there is one.
    pub fn shadow_policy(&self, version: Option<&str>) {
        self.shadow_policy_info.reset();
        if let Some(version) = version {
            self.shadow_policy_info.with_label_values(&[version]).set(1);
        }
    }
}

fn other_than_none(name: &str) -> &'static str {
    if name == label::NONE { label::NONE } else { label::OTHER }
}
