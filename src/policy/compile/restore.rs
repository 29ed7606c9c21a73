//! What `on_uneditable: restore` asks of a route.

use super::{Compiler, writes_one};
use crate::policy::model::ResourceId;
use crate::policy::operation::Action;
use crate::policy::syntax::Route;

impl Compiler<'_> {
    /// One record, whose body and answer are plain JSON: laying anything else over each other would be guessing.
    pub(super) fn check_restore(&self, route: &Route, about: Option<&(Action, ResourceId)>) {
        let Some((action, resource)) = about else { return };
        let plain = self.tables.resources.get(*resource);
        let plain = plain.is_none_or(|table| table.pairs.is_empty() && table.embedded.is_empty());
        let list = route.body.as_ref().is_some_and(|body| body.text.ends_with("[*]"));
        let bodiless = route.body.is_none() && !matches!(action, Action::Update);
        let reason = if !writes_one(action) {
            "a record that is not there yet has nothing to restore"
        } else if bodiless {
            "the route says not where the record is in the body: add `body`"
        } else if list {
            "the body is to hold one record"
        } else if !route.body_as.is_empty() {
            "only plain JSON can be laid over the record: it goes without `body_as`"
        } else if !plain {
            "records with `pairs` or `embedded` cannot be laid over each other"
        } else {
            return;
        };
        self.documents.error_with_help(
            "cannot-restore",
            format!("`on_uneditable: restore` has no effect here: {reason}"),
            "mend that, or write `refuse` or `strip`",
            route.pattern.mark,
        );
    }
}
