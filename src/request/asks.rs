//! What a request asks by its query, and by a body that sets nothing: judged alone.

use crate::policy::Permit;

use super::{Refused, query};

/// Whether a request would be refused for what it asks by. What a body sets is not looked at: that may depend on the
/// record it is about.
pub fn asks(permit: &Permit) -> Result<(), Refused> {
    if permit.route().public {
        return Ok(());
    }
    if permit.batch().is_some() {
        query::guard(permit)?;
        return permit.parts().try_for_each(asks);
    }
    query::guard(permit)?;
    match (permit.write(), permit.operation().given()) {
        (None, Some(given)) if !permit.query().body.is_empty() => {
            query::body(permit, given.tree()).map(|_judged| ())
        }
        _ => Ok(()),
    }
}
