//! The macros over lists, recognised by what the parser expands them to.

use super::parse::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};

/// A macro, and the parts that were written in it.
pub(super) enum Macro<'e> {
    /// `all` (`true`) and `exists`.
    Each(bool, &'e IdedExpr),
    /// `exists_one`.
    One(&'e IdedExpr),
    /// `filter` and `map`: the test, and what is made of an element.
    Collect(Option<&'e IdedExpr>, &'e IdedExpr),
}

impl<'e> Macro<'e> {
    pub(super) fn of(comprehension: &'e ComprehensionExpr) -> Option<Self> {
        let Expr::Call(CallExpr { func_name, args, .. }) = &comprehension.loop_step.expr else { return None };
        match (&comprehension.accu_init.expr, func_name.as_str(), args.as_slice()) {
            (Expr::Literal(LiteralValue::Boolean(every)), _, [_, body]) => {
                Some(Self::Each(*every.inner(), body))
            }
            (Expr::Literal(LiteralValue::Int(_)), operators::CONDITIONAL, [body, _, _]) => {
                Some(Self::One(body))
            }
            (Expr::List(_), operators::CONDITIONAL, [body, step, _]) => {
                Some(Self::Collect(Some(body), added(step)?))
            }
            (Expr::List(_), operators::ADD, _) => Some(Self::Collect(None, added(&comprehension.loop_step)?)),
            _ => None,
        }
    }
}

/// What `map` and `filter` add to what they have.
fn added(step: &IdedExpr) -> Option<&IdedExpr> {
    let Expr::Call(CallExpr { args, .. }) = &step.expr else { return None };
    match args.as_slice() {
        [_, IdedExpr { expr: Expr::List(list), .. }] => list.elements.first(),
        _ => None,
    }
}
