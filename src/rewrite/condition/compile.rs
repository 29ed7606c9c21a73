//! Syntax tree to [`Node`]s: names become numbered places, constants are folded, and everything outside the subset, or
//! that could never have a value, is refused.

use std::sync::Arc;

use crate::base::suggest;
use crate::rewrite::path::{Path, Step};

use super::calculate::Calculation;
use super::evaluate::{Comparison, Node};
use super::functions;
use super::kind::Kind;
use super::macros::Macro;
use super::params::{Param, ParamRoot, ParamTable};
use super::parse::{
    self, CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, error, operators,
};
use super::value::Value;
use super::{ConditionError, Predicate};

/// A compiled part.
pub(super) struct Part {
    pub(super) node: Node,
    pub(super) kind: Kind,
}

pub(super) type Compiled = Result<Part, ConditionError>;

/// Compiles one condition.
pub(super) struct Compiler<'p> {
    info: SourceInfo,
    params: &'p mut ParamTable,
    slots: Vec<Path>,
    used: Vec<usize>,
    /// The variables of the macros around the current part, innermost last.
    locals: Vec<String>,
    /// How many parts the current one is inside of.
    depth: usize,
}

/// A variable and the members that lead on from it.
struct Reference<'e> {
    root: &'e str,
    root_id: u64,
    steps: Vec<(&'e str, u64)>,
}

impl Reference<'_> {
    /// What holds the last member, if that is at least `least` members deep.
    fn parent(&self, least: usize) -> Option<Self> {
        let (_, steps) = self.steps.split_last().filter(|(_, steps)| steps.len() >= least)?;
        Some(Reference { root: self.root, root_id: self.root_id, steps: steps.to_vec() })
    }
}

pub(super) fn compile(source: &str, params: &mut ParamTable) -> Result<Predicate, ConditionError> {
    parse::with_room(source, || compile_here(source, params))
}

fn compile_here(source: &str, params: &mut ParamTable) -> Result<Predicate, ConditionError> {
    let (tree, info) = parse::parse(source)?;
    let mut compiler =
        Compiler { info, params, slots: Vec::new(), used: Vec::new(), locals: Vec::new(), depth: 0 };
    let root = compiler.part(&tree)?;
    if !matches!(root.kind, Kind::Bool | Kind::Any) {
        return Err(error(
            format!("a condition gives true or false, this gives {}", root.kind.name()),
            Some("compare it with something, as in `record.status == \"open\"`".into()),
            compiler.offset(tree.id),
        ));
    }
    let Compiler { slots, used: mut reads, params, .. } = compiler;
    let params = reads.iter().filter_map(|index| params.names().get(*index).cloned()).collect();
    reads.sort_unstable();
    Ok(Predicate { source: source.into(), slots, params, reads, root: Arc::new(root.node) })
}

impl Compiler<'_> {
    /// Where a part stands in the text.
    pub(super) fn offset(&self, id: u64) -> usize {
        self.info.offset_for(id).and_then(|(start, _)| usize::try_from(start).ok()).unwrap_or(0)
    }

    pub(super) fn refuse<T>(
        &self,
        id: u64,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Result<T, ConditionError> {
        Err(error(message.into(), help, self.offset(id)))
    }

    /// Compiles a part, folded if it is constant.
    pub(super) fn part(&mut self, tree: &IdedExpr) -> Compiled {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let help = format!("at most {MAX_DEPTH} operators and members in a chain");
            return self.refuse(tree.id, "condition is nested too deeply", Some(help));
        }
        let part = self.unfolded(tree)?;
        self.depth -= 1;
        self.fold(part, tree.id)
    }

    fn unfolded(&mut self, tree: &IdedExpr) -> Compiled {
        match &tree.expr {
            Expr::Literal(literal) => self.literal(literal, tree.id),
            Expr::Ident(_) => self.read(tree),
            Expr::Select(select) if select.test => self.has(select, tree.id),
            Expr::Select(_) => self.read(tree),
            Expr::Call(call) if call.func_name == operators::INDEX => self.read(tree),
            Expr::Call(call) => self.call(call, tree.id),
            Expr::List(list) => self.list(&list.elements),
            Expr::Comprehension(comprehension) => self.each(comprehension, tree.id),
            Expr::Map(_) => self.refuse(tree.id, "object literals are not supported", None),
            Expr::Struct(message) => {
                let message = format!("type `{}` is not known", message.type_name);
                self.refuse(tree.id, message, None)
            }
            Expr::Unspecified => self.refuse(tree.id, "condition cannot be read", None),
        }
    }

    fn fold(&self, part: Part, id: u64) -> Compiled {
        if matches!(part.node, Node::Const(_)) || !part.node.is_constant() {
            return Ok(part);
        }
        match part.node.fold() {
            Ok(value) => Ok(Part { kind: Kind::of(&value), node: Node::Const(value) }),
            Err(fault) => self.refuse(id, format!("this can never have a value: {fault}"), None),
        }
    }

    fn literal(&self, literal: &LiteralValue, id: u64) -> Compiled {
        let value = match literal {
            LiteralValue::Boolean(truth) => Value::Bool(*truth.inner()),
            LiteralValue::Int(int) => Value::Int(*int.inner()),
            LiteralValue::UInt(uint) => Value::UInt(*uint.inner()),
            LiteralValue::Double(double) if double.inner().is_finite() => Value::Double(*double.inner()),
            LiteralValue::Double(_) => return self.refuse(id, "number out of range", None),
            LiteralValue::String(text) => Value::text(text.inner()),
            LiteralValue::Null => Value::Null,
            LiteralValue::Bytes(_) => {
                return self.refuse(id, "bytes are not supported", Some("write a text".into()));
            }
        };
        Ok(Part { kind: Kind::of(&value), node: Node::Const(value) })
    }

    fn list(&mut self, elements: &[IdedExpr]) -> Compiled {
        let nodes = elements.iter().map(|element| self.part(element).map(|part| part.node));
        Ok(Part { node: Node::List(nodes.collect::<Result<_, _>>()?), kind: Kind::List })
    }

    // === names ===

    /// A variable, a member or an element.
    fn read(&mut self, tree: &IdedExpr) -> Compiled {
        let Some(reference) = reference(tree) else { return self.within(tree) };
        if let Some(depth) = self.locals.iter().rev().position(|local| local == reference.root) {
            let local = Part { node: Node::Local(depth), kind: Kind::Any };
            if self.depth + reference.steps.len() > MAX_DEPTH {
                return self.refuse(tree.id, "condition is nested too deeply", None);
            }
            return Ok(reference.steps.iter().fold(local, |part, (name, _)| member(part, name)));
        }
        match reference.root {
            "record" => {
                let slot = self.slot(&reference)?;
                Ok(Part { node: Node::Slot(slot), kind: Kind::Any })
            }
            "principal" => self.param(ParamRoot::Principal, &reference),
            "request" => self.param(ParamRoot::Request, &reference),
            unknown => {
                let help = suggest(unknown, ROOTS.iter().copied())
                    .map_or_else(|| "there are `record`, `principal` and `request`".into(), did_you_mean);
                self.refuse(reference.root_id, format!("unknown name `{unknown}`"), Some(help))
            }
        }
    }

    /// A member or element of something that is no plain path.
    fn within(&mut self, tree: &IdedExpr) -> Compiled {
        match &tree.expr {
            Expr::Select(select) => {
                let part = self.part(&select.operand)?;
                self.expect(&part, &[Kind::Map], select.operand.id, "members are read of objects")?;
                Ok(member(part, &select.field))
            }
            Expr::Call(CallExpr { args, .. }) => {
                let [list, index] = args.as_slice() else {
                    return self.refuse(tree.id, "condition cannot be read", None);
                };
                if matches!(&list.expr, Expr::Ident(root) if ROOTS.contains(&root.as_str())) {
                    let help =
                        "which member decides must be known when the policy is loaded: `record[\"a b\"]`";
                    return self.refuse(
                        index.id,
                        "a member chosen by a value is not supported",
                        Some(help.into()),
                    );
                }
                let (list_part, index_part) = (self.part(list)?, self.part(index)?);
                self.expect(
                    &list_part,
                    &[Kind::List, Kind::Map],
                    list.id,
                    "elements are read of lists and objects",
                )?;
                self.expect(
                    &index_part,
                    &[Kind::Number, Kind::Text],
                    index.id,
                    "an index is a whole number or a name",
                )?;
                let node = Node::Index(Box::new([list_part.node, index_part.node]));
                Ok(Part { node, kind: Kind::Any })
            }
            _ => self.refuse(tree.id, "condition cannot be read", None),
        }
    }

    fn slot(&mut self, reference: &Reference<'_>) -> Result<usize, ConditionError> {
        if reference.steps.is_empty() {
            return self.refuse(
                reference.root_id,
                "the record as a whole has no value in conditions",
                Some("name a member, as in `record.status`".into()),
            );
        }
        let path = Path(reference.steps.iter().map(|(name, _)| Step::Name((*name).into())).collect());
        if let Some(known) = self.slots.iter().position(|slot| *slot == path) {
            return Ok(known);
        }
        self.slots.push(path);
        Ok(self.slots.len() - 1)
    }

    fn param(&mut self, root: ParamRoot, reference: &Reference<'_>) -> Compiled {
        let (index, kind) = self.param_index(root, reference)?;
        Ok(Part { node: Node::Param(index), kind })
    }

    fn param_index(
        &mut self,
        root: ParamRoot,
        reference: &Reference<'_>,
    ) -> Result<(usize, Kind), ConditionError> {
        let members = root.members();
        let Some(((first, first_id), rest)) = reference.steps.split_first() else {
            let help = format!("name a member: {}", members.join(", "));
            let message = format!("`{}` as a whole has no value in conditions", root.name());
            return self.refuse(reference.root_id, message, Some(help));
        };
        if !members.contains(first) {
            let help = suggest(first, members.iter().copied())
                .map_or_else(|| format!("it has {}", members.join(", ")), did_you_mean);
            return self.refuse(*first_id, format!("`{}` has no member `{first}`", root.name()), Some(help));
        }
        let kind = match (*first, rest) {
            ("claims", []) | ("query", []) => Kind::Map,
            ("claims", _) => Kind::Any,
            ("query", [_]) => Kind::Text,
            ("groups" | "roles", []) => Kind::List,
            ("mfa", []) => Kind::Bool,
            ("time", []) => Kind::Time,
            (_, []) => Kind::Text,
            (_, [(name, id), ..]) => {
                return self.refuse(*id, format!("`{}.{first}` has no member `{name}`", root.name()), None);
            }
        };
        let path = reference.steps.iter().map(|(name, _)| (*name).into()).collect();
        let index = self.params.index(Param { root, path });
        if !self.used.contains(&index) {
            self.used.push(index);
        }
        Ok((index, kind))
    }

    fn has(&mut self, select: &SelectExpr, id: u64) -> Compiled {
        let plain = IdedExpr { id, expr: Expr::Select(SelectExpr { test: false, ..select.clone() }) };
        let reference =
            reference(&plain).filter(|reference| !self.locals.iter().any(|l| l == reference.root));
        let node = match &reference {
            Some(path) if path.root == "record" => {
                let slot = self.slot(path)?;
                let parent = path.parent(1).map(|parent| self.slot(&parent)).transpose()?;
                Node::HasSlot { slot, parent }
            }
            Some(path) if path.root == "principal" => self.has_param(ParamRoot::Principal, path)?,
            Some(path) if path.root == "request" => self.has_param(ParamRoot::Request, path)?,
            _ => Node::HasMember(Box::new(self.part(&select.operand)?.node), select.field.as_str().into()),
        };
        Ok(Part { node, kind: Kind::Bool })
    }

    fn has_param(&mut self, root: ParamRoot, reference: &Reference<'_>) -> Result<Node, ConditionError> {
        let (param, _) = self.param_index(root, reference)?;
        // The claims and the query are always there; deeper objects need not be.
        let parent = match reference.parent(2) {
            Some(parent) => Some(self.param_index(root, &parent)?.0),
            None => None,
        };
        Ok(Node::HasParam { param, parent })
    }

    // === operators ===

    fn call(&mut self, call: &CallExpr, id: u64) -> Compiled {
        let name = call.func_name.as_str();
        if call.target.is_some() {
            return functions::call(self, call, id);
        }
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [_, _]) => self.logic(name, &call.args),
            (operators::LOGICAL_NOT, [part]) => {
                let part = self.truth(part)?;
                Ok(Part { node: Node::Not(Box::new(part.node)), kind: Kind::Bool })
            }
            (operators::NEGATE, [number]) => {
                let part = self.part(number)?;
                self.expect(&part, &[Kind::Number], number.id, "only numbers can be negated")?;
                Ok(Part { node: Node::Negate(Box::new(part.node)), kind: Kind::Number })
            }
            (operators::CONDITIONAL, [when, then, otherwise]) => self.choice(when, then, otherwise),
            (operators::IN, [wanted, list]) => self.is_in(wanted, list, id),
            (_, [a, b]) => {
                if let Some((_, comparison)) = COMPARISONS.iter().find(|(operator, _)| *operator == name) {
                    return self.compare(*comparison, a, b, id);
                }
                if let Some((_, calculation)) = CALCULATIONS.iter().find(|(operator, _)| *operator == name) {
                    return self.calculate(*calculation, a, b, id);
                }
                functions::call(self, call, id)
            }
            _ => functions::call(self, call, id),
        }
    }

    /// `&&` and `||`, whose operands the parser gives as a balanced tree: made flat.
    fn logic(&mut self, name: &str, operands: &[IdedExpr]) -> Compiled {
        let mut nodes = Vec::new();
        for operand in operands {
            match (name, self.truth(operand)?.node) {
                (operators::LOGICAL_AND, Node::And(parts)) | (operators::LOGICAL_OR, Node::Or(parts)) => {
                    nodes.extend(parts);
                }
                (_, node) => nodes.push(node),
            }
        }
        let nodes = nodes.into_boxed_slice();
        let node = if name == operators::LOGICAL_AND { Node::And(nodes) } else { Node::Or(nodes) };
        Ok(Part { node, kind: Kind::Bool })
    }

    fn choice(&mut self, when: &IdedExpr, then: &IdedExpr, otherwise: &IdedExpr) -> Compiled {
        let (when, then, otherwise) = (self.truth(when)?, self.part(then)?, self.part(otherwise)?);
        let kind = if then.kind == otherwise.kind { then.kind } else { Kind::Any };
        Ok(Part { node: Node::If(Box::new([when.node, then.node, otherwise.node])), kind })
    }

    fn compare(&mut self, comparison: Comparison, a: &IdedExpr, b: &IdedExpr, id: u64) -> Compiled {
        let (a, b) = (self.part(a)?, self.part(b)?);
        if !a.kind.compares_with(b.kind, comparison) {
            let message = format!("{} and {} cannot be compared like this", a.kind.name(), b.kind.name());
            return self.refuse(id, message, Some("it would never be met".into()));
        }
        Ok(Part { node: Node::Compare(comparison, Box::new([a.node, b.node])), kind: Kind::Bool })
    }

    fn calculate(&mut self, calculation: Calculation, a: &IdedExpr, b: &IdedExpr, id: u64) -> Compiled {
        let (a, b) = (self.part(a)?, self.part(b)?);
        let Some(kind) = Kind::calculated(calculation, a.kind, b.kind) else {
            let message = format!("cannot calculate with {} and {}", a.kind.name(), b.kind.name());
            return self.refuse(id, message, None);
        };
        Ok(Part { node: Node::Calculate(calculation, Box::new([a.node, b.node])), kind })
    }

    fn is_in(&mut self, wanted: &IdedExpr, list: &IdedExpr, id: u64) -> Compiled {
        if let (Expr::Literal(LiteralValue::String(name)), Expr::Ident(root)) = (&wanted.expr, &list.expr)
            && root == "record"
            && !self.locals.iter().any(|local| local == root)
        {
            let reference = Reference { root, root_id: list.id, steps: vec![(name.inner(), wanted.id)] };
            return Ok(Part {
                node: Node::HasSlot { slot: self.slot(&reference)?, parent: None },
                kind: Kind::Bool,
            });
        }
        let (wanted, list_part) = (self.part(wanted)?, self.part(list)?);
        self.expect(&list_part, &[Kind::List, Kind::Map], list.id, "`in` looks into lists and objects")?;
        let (wanted, node) = (wanted.kind, in_list(wanted.node, list_part.node));
        if let (true, Kind::Bool | Kind::Number | Kind::List | Kind::Map | Kind::Time | Kind::Span) =
            (node.looks_into_texts(), wanted)
        {
            return self.refuse(id, format!("{} is never in a list of texts", wanted.name()), None);
        }
        Ok(Part { node, kind: Kind::Bool })
    }

    /// A macro over a list, recognised by what the parser expands it to.
    fn each(&mut self, comprehension: &ComprehensionExpr, id: u64) -> Compiled {
        let name = &comprehension.iter_var;
        let Some(expanded) = Macro::of(comprehension) else {
            let help = "there are `exists`, `all`, `exists_one`, `filter` and `map`";
            return self.refuse(id, "macro is not supported", Some(help.into()));
        };
        if ROOTS.contains(&name.as_str()) {
            let message = format!("the variable of a macro cannot be named `{name}`");
            return self.refuse(id, message, None);
        }
        let range = self.part(&comprehension.iter_range)?;
        self.expect(
            &range,
            &[Kind::List, Kind::Map],
            comprehension.iter_range.id,
            "macros go over lists and objects",
        )?;
        let range = Box::new(range.node);
        self.locals.push(name.clone());
        let node = match expanded {
            Macro::Each(every, body) => Node::Each { every, range, body: Box::new(self.truth(body)?.node) },
            Macro::One(body) => Node::One { range, body: Box::new(self.truth(body)?.node) },
            Macro::Collect(body, made) => {
                let body = body.map(|body| self.truth(body)).transpose()?;
                let is_itself = matches!(&made.expr, Expr::Ident(ident) if ident == name);
                let made = if is_itself { None } else { Some(Box::new(self.part(made)?.node)) };
                Node::Collect { range, body: body.map(|body| Box::new(body.node)), made }
            }
        };
        self.locals.pop();
        let kind = if matches!(node, Node::Collect { .. }) { Kind::List } else { Kind::Bool };
        Ok(Part { node, kind })
    }

    // === types ===

    /// A part that is used as a truth value.
    fn truth(&mut self, tree: &IdedExpr) -> Compiled {
        let part = self.part(tree)?;
        self.expect(&part, &[Kind::Bool], tree.id, "true or false is needed here")?;
        Ok(part)
    }

    /// Refuses a part whose type is known and never fits.
    pub(super) fn expect(
        &self,
        part: &Part,
        kinds: &[Kind],
        id: u64,
        why: &str,
    ) -> Result<(), ConditionError> {
        if part.kind == Kind::Any || kinds.contains(&part.kind) {
            return Ok(());
        }
        self.refuse(id, format!("{why}, this is {}", part.kind.name()), None)
    }
}

impl Node {
    /// A constant list of nothing but texts.
    fn is_texts(&self) -> bool {
        match self {
            Self::Const(Value::List(elements)) => {
                !elements.is_empty() && elements.iter().all(|element| matches!(element, Value::Text(_)))
            }
            _ => false,
        }
    }

    fn looks_into_texts(&self) -> bool {
        match self {
            Self::In(sides) => {
                let [_, list] = &**sides;
                list.is_texts()
            }
            Self::InTexts(..) => true,
            _ => false,
        }
    }

    /// Whether it reads nothing; its parts are folded already.
    fn is_constant(&self) -> bool {
        let constant = |node: &Node| matches!(node, Node::Const(_));
        match self {
            Self::Const(_) => true,
            Self::Slot(_)
            | Self::Param(_)
            | Self::Local(_)
            | Self::HasSlot { .. }
            | Self::HasParam { .. } => false,
            Self::List(parts) | Self::And(parts) | Self::Or(parts) => parts.iter().all(constant),
            Self::If(parts) => parts.iter().all(constant),
            Self::Index(parts) | Self::Compare(_, parts) | Self::Calculate(_, parts) => {
                parts.iter().all(constant)
            }
            Self::In(parts) | Self::Test(_, parts) => parts.iter().all(constant),
            // The body of a macro is not looked into: it may read its variable only, and still is no constant.
            Self::Each { .. } | Self::One { .. } | Self::Collect { .. } => false,
            Self::Member(part, _) | Self::HasMember(part, _) | Self::InTexts(part, _) => constant(part),
            Self::Not(part) | Self::Negate(part) | Self::Convert(_, part) => constant(part),
            Self::Matches(part, _) | Self::IpIn(part, _) | Self::Part(_, _, part) => constant(part),
        }
    }
}

/// The variable and members that a part spells, if it is nothing but that.
fn reference(tree: &IdedExpr) -> Option<Reference<'_>> {
    let mut steps = Vec::new();
    let mut tree = tree;
    loop {
        match &tree.expr {
            Expr::Ident(root) => {
                steps.reverse();
                return Some(Reference { root, root_id: tree.id, steps });
            }
            Expr::Select(select) if !select.test => {
                steps.push((select.field.as_str(), tree.id));
                tree = &select.operand;
            }
            Expr::Call(CallExpr { func_name, args, .. }) if func_name == operators::INDEX => {
                match args.as_slice() {
                    [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), id }] => {
                        steps.push((name.inner(), *id));
                        tree = operand;
                    }
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
}

fn in_list(wanted: Node, list: Node) -> Node {
    if let Node::Const(Value::List(elements)) = &list
        && elements.len() >= TEXTS_FOR_A_TABLE
        && list.is_texts()
    {
        let texts = elements.iter().filter_map(|element| match element {
            Value::Text(text) => Some(Arc::clone(text)),
            _ => None,
        });
        return Node::InTexts(Box::new(wanted), texts.collect());
    }
    Node::In(Box::new([wanted, list]))
}

fn member(part: Part, name: &str) -> Part {
    Part { node: Node::Member(Box::new(part.node), name.into()), kind: Kind::Any }
}

/// The help for a misspelled name.
pub(super) fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// From so many texts on, a list is looked into by a table.
const TEXTS_FOR_A_TABLE: usize = 16;

/// Deepest tree: what evaluates a condition recurses over it.
const MAX_DEPTH: usize = 100;

const ROOTS: &[&str] = &["record", "principal", "request"];

const COMPARISONS: &[(&str, Comparison)] = &[
    (operators::EQUALS, Comparison::Equal),
    (operators::NOT_EQUALS, Comparison::NotEqual),
    (operators::LESS, Comparison::Less),
    (operators::LESS_EQUALS, Comparison::LessOrEqual),
    (operators::GREATER, Comparison::Greater),
    (operators::GREATER_EQUALS, Comparison::GreaterOrEqual),
];

const CALCULATIONS: &[(&str, Calculation)] = &[
    (operators::ADD, Calculation::Add),
    (operators::SUBSTRACT, Calculation::Subtract),
    (operators::MULTIPLY, Calculation::Multiply),
    (operators::DIVIDE, Calculation::Divide),
    (operators::MODULO, Calculation::Remainder),
];
