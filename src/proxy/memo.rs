//! What an answer gives to come back with is remembered before it goes out.

use std::sync::Arc;

use http::HeaderMap;

use crate::grants::Memory;
use crate::identity::Principal;
use crate::policy::{Permit, Plan};
use crate::store::StoreError;

/// Remembers for one answer.
pub(super) struct Memo {
    memory: Memory,
    plan: Arc<Plan>,
    principal: Principal,
    permit: Permit,
    /// How many values of the body are remembered.
    kept: usize,
}

impl Memo {
    /// `None` where the route remembers nothing.
    pub(super) fn of(
        memory: &Memory,
        plan: &Arc<Plan>,
        principal: &Principal,
        permit: &Permit,
    ) -> Option<Self> {
        (!permit.route().remember.is_empty()).then(|| Self {
            memory: memory.clone(),
            plan: Arc::clone(plan),
            principal: principal.clone(),
            permit: permit.clone(),
            kept: 0,
        })
    }

    /// Those in the head.
    pub(super) async fn headers(&self, headers: &HeaderMap) -> Result<(), StoreError> {
        for remember in self.permit.route().remember.iter() {
            let Some(header) = &remember.header else { continue };
            for value in headers.get_all(header.as_ref()) {
                if let Ok(value) = value.to_str() {
                    self.keep(&remember.name, value).await?;
                }
            }
        }
        Ok(())
    }

    /// Those in the body, as far as it has come.
    pub(super) async fn values(&mut self, found: &[(Arc<str>, String)]) -> Result<(), StoreError> {
        while let Some((name, value)) = found.get(self.kept) {
            self.keep(name, value).await?;
            self.kept += 1;
        }
        Ok(())
    }

    async fn keep(&self, name: &str, text: &str) -> Result<(), StoreError> {
        match self.plan.referred(&self.permit.route().api, name, text) {
            Some(value) => self.memory.keep(&self.principal, &self.permit, name, &value).await,
            None => Ok(()),
        }
    }
}
