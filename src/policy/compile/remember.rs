//! Cursors and jobs: what routes remember, and routes whose resource is what was remembered.

use std::sync::Arc;

use super::Compiler;
use crate::policy::model::{Recalls, ResourceId, RouteTable};
use crate::policy::operation::Action;
use crate::policy::permit::{DenialShape, Remember};
use crate::policy::router::Segment;
use crate::policy::source::{Mark, Word, did_you_mean};
use crate::policy::syntax::{Api, PartKind, ResourceOf, Route, RoutePart};
use crate::rewrite::{Path, Step};

/// A route that was compiled, whether its case matters not, and where it is written.
type Written = (RouteTable, bool, Mark);

impl Compiler<'_> {
    /// What of a route's answers later requests may refer to.
    pub(super) fn remembers(
        &self,
        route: &Route,
        records: Option<&Path>,
        about: Option<&(Action, ResourceId)>,
    ) -> Arc<[Remember]> {
        let mut found = Vec::new();
        for (name, place) in &route.remember {
            if about.is_none() {
                self.documents.error("public-with-remember", "a public route remembers nothing", name.mark);
                continue;
            }
            let header = place.text.strip_prefix("header ").map(|header| header.trim().to_lowercase());
            if let Some(header) = header {
                let passes = self.headers(&route.response_headers).iter().any(|known| **known == *header);
                if !passes {
                    self.documents.error_with_help(
                        "hidden-cursor",
                        format!("the header `{header}` does not pass, so nobody could come back with it"),
                        "add it to `response_headers`",
                        place.mark,
                    );
                }
                found.push(Remember { name: name.text.clone(), path: None, header: Some(header.into()) });
                continue;
            }
            let Some(path) = self.jsonpath(place) else { continue };
            let plain = path
                .steps()
                .iter()
                .all(|step| matches!(step, Step::Name(_) | Step::Index(_) | Step::Elements));
            if !plain || path.is_root() {
                let message = format!("`{}` is no place of a value", place.text);
                self.documents.error("bad-path", message, place.mark);
                continue;
            }
            let kept = route.envelope.keep.iter().filter_map(|word| {
                if word.text.starts_with('$') {
                    Path::parse_jsonpath(&word.text).ok()
                } else {
                    Some(Path::name(&word.text))
                }
            });
            let within = |path: &Path| records.is_some_and(|records| records.is_prefix_of(path));
            if !within(&path) && !kept.into_iter().any(|kept| kept.is_prefix_of(&path)) {
                self.documents.error_with_help(
                    "hidden-cursor",
                    format!("`{}` does not pass, so nobody could come back with it", place.text),
                    format!("add `envelope: {{ keep: ['{}'] }}`", place.text),
                    place.mark,
                );
            }
            found.push(Remember { name: name.text.clone(), path: Some(path), header: None });
        }
        found.into()
    }

    /// Adds the routes whose resource is remembered: one for each thing that the api's routes remember by that name.
    pub(super) fn remembered_routes(&mut self, written: &mut Vec<Written>) {
        let set = self.set;
        for api in &set.apis {
            let denial = Arc::new(self.denial_shape(api.denial.as_ref()));
            for route in &api.routes {
                let Some(ResourceOf::Remembered { name, at }) = &route.resource else { continue };
                let added = self.remembered_route(api, route, (name, at.as_ref()), &denial, written);
                written.extend(added);
            }
        }
    }

    fn remembered_route(
        &self,
        api: &Api,
        route: &Route,
        (name, at): (&Word, Option<&RoutePart>),
        denial: &Arc<DenialShape>,
        written: &[Written],
    ) -> Vec<Written> {
        let Some((method, template)) = self.pattern(&route.pattern) else { return Vec::new() };
        let in_path = Segment::params(&template).any(|param| *param == name.text);
        let (kind, part) = match at {
            Some(part) => (part.kind, part.name.text.clone()),
            None if in_path => (PartKind::Path, name.text.clone()),
            None => (PartKind::Query, name.text.clone()),
        };
        if !matches!(kind, PartKind::Path | PartKind::Query)
            || (kind == PartKind::Path && !Segment::params(&template).any(|param| *param == part))
        {
            self.documents.error_with_help(
                "bad-request-part",
                "what is remembered comes back in the path or in the query",
                "write `path NAME` or `query NAME`",
                name.mark,
            );
            return Vec::new();
        }
        let sources =
            written.iter().map(|(table, _, _)| table).filter(|table| table.facts.api == api.name.text);
        let mut abouts: Vec<(Action, ResourceId)> = Vec::new();
        for table in sources.filter(|table| table.facts.remember.iter().any(|known| known.name == name.text))
        {
            let Some((action, resource)) = &table.about else { continue };
            let action = match &route.action {
                Some(word) => self.action(word),
                None => Some(action.clone()),
            };
            let about = action.map(|action| (action, *resource));
            abouts.extend(about.filter(|about| !abouts.contains(about)));
        }
        if abouts.is_empty() {
            let names = api.routes.iter().flat_map(|route| &route.remember).map(|(name, _)| name.as_str());
            let help = did_you_mean(&name.text, names).unwrap_or_else(|| {
                format!("add `remember: {{ {}: $.PLACE }}` to the route that gives it", name.text)
            });
            let message = format!("no route of this api remembers `{}`", name.text);
            self.documents.error_with_help("unknown-name", message, help, name.mark);
        }
        let table = |about: (Action, ResourceId)| {
            let when: Vec<_> = route.when.iter().filter_map(|when| self.when(when)).collect();
            let mut table = self.table(api, route, denial, &method, &template, Some(about), when)?;
            if kind == PartKind::Query && !table.query.names().any(|known| *known == part) {
                table.query.pass.push(part.clone());
            }
            table.recalls = Some(Recalls { name: name.text.clone(), kind, part: part.clone() });
            table.remembers_action = route.action.is_none();
            Some((table, route.ignore_case, route.pattern.mark))
        };
        abouts.into_iter().filter_map(table).collect()
    }
}
