//! The functions of the condition language: one row each.

use ipnet::IpNet;
use jiff::tz::TimeZone;

use crate::base::suggest;

use super::ConditionError;
use super::calculate::Conversion;
use super::compile::{Compiled, Compiler, Part, did_you_mean};
use super::evaluate::{Node, TextTest};
use super::kind::Kind;
use super::parse::{CallExpr, IdedExpr};
use super::time;
use super::value::Value;

/// How a function is written: `f(x)`, `x.f()` or both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Global,
    Method,
    Either,
}

#[derive(Clone, Copy)]
enum Function {
    Convert(Conversion, &'static [Kind], Kind),
    Test(TextTest),
    Matches,
    IpIn,
}

const FUNCTIONS: &[(&str, Style, Function, &str)] = &[
    (
        "size",
        Style::Either,
        Function::Convert(Conversion::Size, &[Kind::Text, Kind::List, Kind::Map], Kind::Number),
        "size(list)",
    ),
    (
        "int",
        Style::Global,
        Function::Convert(Conversion::Int, &[Kind::Number, Kind::Text, Kind::Time], Kind::Number),
        "int(value)",
    ),
    (
        "double",
        Style::Global,
        Function::Convert(Conversion::Double, &[Kind::Number, Kind::Text], Kind::Number),
        "double(value)",
    ),
    (
        "string",
        Style::Global,
        Function::Convert(
            Conversion::String,
            &[Kind::Number, Kind::Text, Kind::Bool, Kind::Time],
            Kind::Text,
        ),
        "string(value)",
    ),
    (
        "timestamp",
        Style::Global,
        Function::Convert(Conversion::Timestamp, &[Kind::Text, Kind::Number, Kind::Time], Kind::Time),
        "timestamp(\"2026-01-31T09:00:00Z\")",
    ),
    (
        "duration",
        Style::Global,
        Function::Convert(Conversion::Duration, &[Kind::Text, Kind::Span], Kind::Span),
        "duration(\"1h30m\")",
    ),
    (
        "lowerAscii",
        Style::Method,
        Function::Convert(Conversion::LowerAscii, &[Kind::Text], Kind::Text),
        "text.lowerAscii()",
    ),
    (
        "upperAscii",
        Style::Method,
        Function::Convert(Conversion::UpperAscii, &[Kind::Text], Kind::Text),
        "text.upperAscii()",
    ),
    ("startsWith", Style::Method, Function::Test(TextTest::StartsWith), "text.startsWith(\"…\")"),
    ("endsWith", Style::Method, Function::Test(TextTest::EndsWith), "text.endsWith(\"…\")"),
    ("contains", Style::Method, Function::Test(TextTest::Contains), "text.contains(\"…\")"),
    ("matches", Style::Either, Function::Matches, "text.matches(\"^[a-z]+$\")"),
    ("ip_in", Style::Global, Function::IpIn, "ip_in(principal.ip, \"10.0.0.0/8\")"),
];

/// Name and use of every function, for editors.
pub fn function_uses() -> impl Iterator<Item = (&'static str, &'static str)> {
    FUNCTIONS.iter().map(|(name, _, _, usage)| (*name, *usage))
}

/// The names of all functions, methods and macros.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let functions = FUNCTIONS.iter().map(|(name, ..)| *name);
    functions.chain(time::PARTS.iter().map(|(name, _)| *name)).chain(["has", "exists", "all"])
}

/// Compiles a call of a function or method.
pub(super) fn call(compiler: &mut Compiler<'_>, call: &CallExpr, id: u64) -> Compiled {
    let name = call.func_name.as_str();
    // The receiver, if there is one, is the first argument.
    let args: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
    if let (Some(_), Some(part)) = (&call.target, time::Part::named(name)) {
        return time_part(compiler, part, &args, id);
    }
    let Some((_, style, function, usage)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
        return unknown(compiler, name, id);
    };
    let written_as = if call.target.is_some() { Style::Method } else { Style::Global };
    if *style != Style::Either && *style != written_as {
        return compiler.refuse(
            id,
            format!("`{name}` is not called like this"),
            Some(format!("write `{usage}`")),
        );
    }
    match (function, args.as_slice()) {
        (Function::Convert(conversion, kinds, kind), [arg]) => {
            let part = compiler.part(arg)?;
            compiler.expect(&part, kinds, arg.id, &format!("`{name}` does not take this type"))?;
            Ok(Part { node: Node::Convert(*conversion, Box::new(part.node)), kind: *kind })
        }
        (Function::Test(test), [text, part]) => {
            let nodes = [text_part(compiler, text, name)?, text_part(compiler, part, name)?];
            Ok(Part { node: Node::Test(*test, Box::new(nodes)), kind: Kind::Bool })
        }
        (Function::Matches, [text, pattern]) => matches(compiler, text, pattern),
        (Function::IpIn, [text, networks @ ..]) if !networks.is_empty() => ip_in(compiler, text, networks),
        _ => compiler.refuse(
            id,
            format!("`{name}` does not take {} arguments", args.len()),
            Some(format!("write `{usage}`")),
        ),
    }
}

fn unknown(compiler: &Compiler<'_>, name: &str, id: u64) -> Compiled {
    let help = match name {
        "map" | "filter" | "exists_one" | "existsOne" => {
            Some("there are `exists(x, …)` and `all(x, …)`".to_owned())
        }
        _ => suggest(name, names()).map(did_you_mean),
    };
    compiler.refuse(id, format!("unknown function `{name}`"), help)
}

fn text_part(compiler: &mut Compiler<'_>, tree: &IdedExpr, name: &str) -> Result<Node, ConditionError> {
    let part = compiler.part(tree)?;
    compiler.expect(&part, &[Kind::Text], tree.id, &format!("`{name}` takes texts"))?;
    Ok(part.node)
}

/// A text that must be known when the policy is loaded.
fn constant_text(
    compiler: &mut Compiler<'_>,
    tree: &IdedExpr,
    what: &str,
) -> Result<std::sync::Arc<str>, ConditionError> {
    match compiler.part(tree)?.node {
        Node::Const(Value::Text(text)) => Ok(text),
        _ => compiler.refuse(tree.id, format!("{what} must be a text written here"), None),
    }
}

fn matches(compiler: &mut Compiler<'_>, text: &IdedExpr, pattern: &IdedExpr) -> Compiled {
    let text = text_part(compiler, text, "matches")?;
    let source = constant_text(compiler, pattern, "the pattern")?;
    let built = regex::RegexBuilder::new(&ascii_classes(&source))
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES)
        .nest_limit(MAX_PATTERN_NESTING)
        .build();
    match built {
        Ok(regex) => Ok(Part { node: Node::Matches(Box::new(text), regex), kind: Kind::Bool }),
        Err(regex::Error::CompiledTooBig(_)) => compiler.refuse(pattern.id, "the pattern is too large", None),
        Err(reason) => {
            // The library draws the pattern with a pointer; its last line says what is wrong.
            let reason = reason.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            compiler.refuse(pattern.id, format!("the pattern cannot be read: {reason}"), None)
        }
    }
}

/// The pattern with `\d`, `\w`, `\s` and `\b` meaning ASCII, as in RE2 and so in CEL: where a policy says digits, digits
/// of other scripts must not pass.
fn ascii_classes(pattern: &str) -> String {
    let mut ascii = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    let mut classes = 0_usize;
    while let Some(c) = chars.next() {
        match c {
            '[' => classes += 1,
            ']' => classes = classes.saturating_sub(1),
            _ => {}
        }
        if c != '\\' {
            ascii.push(c);
            continue;
        }
        match chars.next() {
            Some('d') => ascii.push_str("[0-9]"),
            Some('D') => ascii.push_str("[^0-9]"),
            Some('w') => ascii.push_str("[0-9A-Za-z_]"),
            Some('W') => ascii.push_str("[^0-9A-Za-z_]"),
            Some('s') => ascii.push_str("[\\t\\n\\f\\r ]"),
            Some('S') => ascii.push_str("[^\\t\\n\\f\\r ]"),
            Some('b') if classes == 0 => ascii.push_str("(?-u:\\b)"),
            escaped => {
                ascii.push(c);
                ascii.extend(escaped);
            }
        }
    }
    ascii
}

fn ip_in(compiler: &mut Compiler<'_>, text: &IdedExpr, networks: &[&IdedExpr]) -> Compiled {
    let text = text_part(compiler, text, "ip_in")?;
    let mut parsed = Vec::new();
    for tree in networks {
        let source = constant_text(compiler, tree, "a network")?;
        let network = match (source.parse::<IpNet>(), source.parse::<std::net::IpAddr>()) {
            (Ok(network), _) => network,
            (_, Ok(address)) => IpNet::from(address),
            _ => {
                let help = "write `10.0.0.0/8` or `2001:db8::/32`";
                return compiler.refuse(tree.id, format!("`{source}` is not a network"), Some(help.into()));
            }
        };
        if network.trunc() != network {
            let message = format!("`{source}` has bits beyond its prefix");
            return compiler.refuse(tree.id, message, Some(did_you_mean(&network.trunc().to_string())));
        }
        if let IpNet::V6(v6) = network
            && v6.network().to_ipv4_mapped().is_some()
        {
            let help = "addresses are compared as IPv4 where they can be: write the IPv4 network";
            return compiler.refuse(
                tree.id,
                format!("`{source}` is an IPv4 network in IPv6"),
                Some(help.into()),
            );
        }
        parsed.push(network);
    }
    Ok(Part { node: Node::IpIn(Box::new(text), parsed.into()), kind: Kind::Bool })
}

fn time_part(compiler: &mut Compiler<'_>, part: time::Part, args: &[&IdedExpr], id: u64) -> Compiled {
    let (time, zone) = match args {
        [time] => (time, TimeZone::UTC),
        [time, zone] => {
            let name = constant_text(compiler, zone, "the time zone")?;
            match time::zone(&name) {
                Some(known) => (time, known),
                None => {
                    let help = "write a place such as `Asia/Shanghai`, or an offset such as `+08:00`";
                    return compiler.refuse(
                        zone.id,
                        format!("unknown time zone `{name}`"),
                        Some(help.into()),
                    );
                }
            }
        }
        _ => {
            return compiler.refuse(id, "too many arguments", Some("write `request.time.getHours()`".into()));
        }
    };
    let target = compiler.part(time)?;
    compiler.expect(&target, &[Kind::Time, Kind::Span], time.id, "parts are read of times and durations")?;
    Ok(Part { node: Node::Part(part, zone, Box::new(target.node)), kind: Kind::Number })
}

/// Largest compiled pattern.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Deepest nesting of a pattern.
const MAX_PATTERN_NESTING: u32 = 64;
