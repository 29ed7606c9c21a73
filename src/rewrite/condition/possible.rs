//! Whether a condition can be met at all when only some of the values it reads are known.

use super::Predicate;
use super::evaluate::{Env, Node};
use super::params::Params;

impl Predicate {
    /// Whether the condition can be met. `known` are the values that are known, of the
    /// [`ParamTable`](super::ParamTable) it was compiled with; everything else, and every record, may be anything.
    /// `true` may be said of a condition that contradicts itself, `false` never of one that can be met.
    pub fn could_be_met(&self, known: &Params) -> bool {
        verdicts(&self.root, known).yes
    }
}

/// What a part can come out as; where neither, it errs.
#[derive(Clone, Copy)]
struct Verdicts {
    yes: bool,
    no: bool,
}

fn verdicts(node: &Node, known: &Params) -> Verdicts {
    if is_known(node, known) {
        let truth = node.truth(&Env::new(&[], known));
        return Verdicts { yes: truth == Ok(true), no: truth == Ok(false) };
    }
    let each = |parts: &[Node]| parts.iter().map(|part| verdicts(part, known)).collect::<Vec<_>>();
    match node {
        Node::Not(part) => {
            let part = verdicts(part, known);
            Verdicts { yes: part.no, no: part.yes }
        }
        Node::And(parts) => {
            let parts = each(parts);
            Verdicts { yes: parts.iter().all(|part| part.yes), no: parts.iter().any(|part| part.no) }
        }
        Node::Or(parts) => {
            let parts = each(parts);
            Verdicts { yes: parts.iter().any(|part| part.yes), no: parts.iter().all(|part| part.no) }
        }
        Node::If(parts) => {
            let [test, then, other] = &**parts;
            let (test, then, other) = (verdicts(test, known), verdicts(then, known), verdicts(other, known));
            Verdicts {
                yes: (test.yes && then.yes) || (test.no && other.yes),
                no: (test.yes && then.no) || (test.no && other.no),
            }
        }
        _ => Verdicts { yes: true, no: true },
    }
}

/// Whether a part reads nothing but what is known. A part of a kind that is not listed counts as unknown.
fn is_known(node: &Node, known: &Params) -> bool {
    let all = |parts: &[Node]| parts.iter().all(|part| is_known(part, known));
    match node {
        Node::Const(_) | Node::Local(_) => true,
        Node::Param(index) => known.get(*index).is_some(),
        Node::Member(part, _)
        | Node::Not(part)
        | Node::Negate(part)
        | Node::InTexts(part, _)
        | Node::HasMember(part, _)
        | Node::Matches(part, _)
        | Node::Convert(_, part) => is_known(part, known),
        Node::List(parts) | Node::And(parts) | Node::Or(parts) => all(parts),
        Node::If(parts) => all(&parts[..]),
        Node::Index(parts)
        | Node::Compare(_, parts)
        | Node::Calculate(_, parts)
        | Node::In(parts)
        | Node::Test(_, parts) => all(&parts[..]),
        Node::Each { range, body, .. } | Node::One { range, body } => {
            is_known(range, known) && is_known(body, known)
        }
        Node::Collect { range, body, made } => {
            let parts = [body, made].into_iter().flatten();
            is_known(range, known) && parts.into_iter().all(|part| is_known(part, known))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ParamTable, Value};
    use super::*;

    fn possible(source: &str, roles: &[&str]) -> bool {
        let mut params = ParamTable::default();
        let predicate = Predicate::compile(source, &mut params).unwrap();
        let roles: Vec<std::sync::Arc<str>> = roles.iter().map(|role| (*role).into()).collect();
        let value = |name: &str| (name == "principal.roles").then(|| Value::texts(&roles));
        let known: Params = params.names().iter().map(|name| value(name)).collect();
        predicate.could_be_met(&known)
    }

    #[test]
    fn what_is_known_decides_and_the_rest_may_be_anything() {
        let no_contractor = r#"!("contractor" in principal.roles)"#;
        assert!(possible(no_contractor, &["sales"]));
        assert!(!possible(no_contractor, &["sales", "contractor"]));
        assert!(!possible(&format!("{no_contractor} && principal.mfa"), &["contractor"]));
        assert!(possible(&format!("{no_contractor} || principal.mfa"), &["contractor"]));
        assert!(possible("principal.mfa ? false : record.a == 1", &[]));
        assert!(!possible("principal.mfa ? false : size(principal.roles) > 1", &["one"]));
        assert!(possible("!principal.mfa", &[]));
        assert!(!possible("false", &[]));
    }
}
