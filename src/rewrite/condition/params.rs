//! What conditions read of the principal and the request, each named once for all conditions of a plan.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::value::Value;

/// The values of the principal and the request that conditions read, by their index in the [`ParamTable`]. It holds
/// those that were asked for and are there, however many parameters the table has.
#[derive(Clone, Debug, Default)]
pub struct Params(Arc<[(usize, Value)]>);

impl Params {
    /// The value of a parameter.
    pub fn get(&self, index: usize) -> Option<&Value> {
        let place = self.0.binary_search_by_key(&index, |(known, _)| *known).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }
}

/// The values of all parameters of a table, in order of index.
impl FromIterator<Option<Value>> for Params {
    fn from_iter<I: IntoIterator<Item = Option<Value>>>(values: I) -> Self {
        let known = values.into_iter().enumerate();
        Self(known.filter_map(|(index, value)| Some((index, value?))).collect())
    }
}

/// Whose value a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParamRoot {
    /// The caller.
    Principal,
    /// The request.
    Request,
}

/// One value of the principal or the request that conditions read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Param {
    /// Whose value it is.
    pub root: ParamRoot,
    /// The members on the way to it, never empty: `["claims", "region"]`. The first is one that the root has; for a
    /// principal those below `claims`, for a request those below `query` are free, all others stand alone.
    pub path: Vec<Box<str>>,
}

/// The parameters that the conditions of one plan read, each once.
#[derive(Clone, Debug, Default)]
pub struct ParamTable {
    params: Vec<Param>,
    names: Vec<Box<str>>,
    indexes: HashMap<Param, usize>,
}

impl ParamTable {
    /// The names (`principal.id`, `principal.claims.region`, `request.method` …), in order of index.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The parameters, in order of index.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The values of all parameters for one request. `lookup` gives `None` for what the principal or the request does
    /// not have (also a query parameter that is given more than once): a condition that reads it errs.
    pub fn bind(&self, lookup: impl FnMut(&Param) -> Option<Value>) -> Params {
        self.params.iter().map(lookup).collect()
    }

    /// The values of some parameters, given by index: sorted, each once. A condition that reads another errs.
    pub fn bind_some(&self, wanted: &[usize], mut lookup: impl FnMut(&Param) -> Option<Value>) -> Params {
        let value = |index: &usize| Some((*index, lookup(self.params.get(*index)?)?));
        Params(wanted.iter().filter_map(value).collect())
    }

    /// The index of a parameter, added if new.
    pub(super) fn index(&mut self, param: Param) -> usize {
        if let Some(found) = self.indexes.get(&param) {
            return *found;
        }
        let index = self.params.len();
        self.names.push(param.to_string().into());
        self.params.push(param.clone());
        self.indexes.insert(param, index);
        index
    }
}

impl ParamRoot {
    /// The variable in conditions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Request => "request",
        }
    }

    /// The members it has.
    pub fn members(self) -> &'static [&'static str] {
        match self {
            Self::Principal => &["id", "name", "groups", "roles", "claims", "ip", "mfa", "method", "issuer"],
            Self::Request => &["method", "path", "query", "action", "resource", "time"],
        }
    }
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.root.name())?;
        write_steps(f, &self.path)
    }
}

/// Writes members as conditions do: `.name`, or `["any text"]` where the name is no identifier.
fn write_steps(f: &mut fmt::Formatter<'_>, steps: &[Box<str>]) -> fmt::Result {
    for step in steps {
        if is_identifier(step) { write!(f, ".{step}")? } else { write!(f, "[{step:?}]")? }
    }
    Ok(())
}

fn is_identifier(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wanted_parameters_are_looked_up() {
        let mut table = ParamTable::default();
        let claim = |n: usize| Param {
            root: ParamRoot::Principal,
            path: vec!["claims".into(), format!("c{n}").into()],
        };
        let indexes: Vec<usize> = (0..1000).map(|n| table.index(claim(n))).collect();
        assert_eq!(table.index(claim(7)), 7, "the same again");
        assert_eq!((table.params().len(), indexes.last()), (1000, Some(&999)));
        let mut asked = Vec::new();
        let params = table.bind_some(&[3, 900, 5000], |param| {
            asked.push(param.clone());
            (*param != claim(3)).then(|| Value::text("x"))
        });
        assert_eq!(asked, [claim(3), claim(900)]);
        assert_eq!((params.get(3), params.get(900), params.get(901)), (None, Some(&Value::text("x")), None));
    }
}
