//! Method and path to routes, the most specific first.
//!
//! A template is segments: texts, and `{name}` for one segment or a part of one (`Customers({id})`). Where several
//! templates fit, they are compared segment by segment from the left: a text beats a segment with a fixed part, that
//! beats a bare `{name}`.

use std::collections::HashMap;
use std::sync::Arc;

/// One segment of a path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// This text.
    Text(Box<str>),
    /// Any text that is not empty, between fixed ends.
    Param {
        /// What stands before it.
        before: Box<str>,
        /// Its name.
        name: Arc<str>,
        /// What stands behind it.
        after: Box<str>,
    },
}

impl Segment {
    /// Parses a template such as `/api/v1/customers/{id}`. The error is a text and a byte offset.
    pub(super) fn parse_template(template: &str) -> Result<Vec<Self>, (String, usize)> {
        let Some(rest) = template.strip_prefix('/') else {
            return Err(("a path template starts with `/`".into(), 0));
        };
        let mut segments = Vec::new();
        let mut offset = 1;
        let count = rest.split('/').count();
        for (index, text) in rest.split('/').enumerate() {
            if text.is_empty() && index + 1 < count {
                return Err(("a path template has no empty segment".into(), offset));
            }
            segments.push(Self::parse(text).map_err(|message| (message.to_owned(), offset))?);
            offset += text.len() + 1;
        }
        let mut names: Vec<_> = segments.iter().filter_map(Self::param).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            let name = pair.first().map_or("", |name| name.as_ref());
            return Err((format!("the parameter `{name}` occurs twice"), 0));
        }
        Ok(segments)
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let Some((before, rest)) = text.split_once('{') else {
            if text.contains('}') {
                return Err("a `}` without `{`");
            }
            if matches!(text, "." | "..") {
                return Err("a path template has no dot segments");
            }
            return Ok(Self::Text(text.into()));
        };
        let Some((name, after)) = rest.split_once('}') else { return Err("a `{` without `}`") };
        if after.contains(['{', '}']) || before.contains('}') {
            return Err("a segment has at most one parameter");
        }
        let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        if !plain {
            return Err("a parameter's name is letters, digits, `_` and `-`");
        }
        Ok(Self::Param { before: before.into(), name: name.into(), after: after.into() })
    }

    fn param(&self) -> Option<&Arc<str>> {
        match self {
            Self::Text(_) => None,
            Self::Param { name, .. } => Some(name),
        }
    }

    /// The names of a template's parameters.
    pub(super) fn params(template: &[Self]) -> impl Iterator<Item = &Arc<str>> {
        template.iter().filter_map(Self::param)
    }

    /// The value of the parameter in a segment that matched.
    pub(super) fn value<'s>(&self, segment: &'s str) -> Option<(&Arc<str>, &'s str)> {
        match self {
            Self::Text(_) => None,
            Self::Param { before, name, after } => {
                let from = before.len();
                let to = segment.len().checked_sub(after.len())?;
                segment.get(from..to).map(|value| (name, value))
            }
        }
    }

    /// The template with the parameters' names left out: equal shapes fit the same paths.
    pub(super) fn shape(template: &[Self]) -> String {
        let mut shape = String::new();
        for segment in template {
            shape.push('/');
            match segment {
                Self::Text(text) => shape.push_str(text),
                Self::Param { before, after, .. } => {
                    shape.push_str(before);
                    shape.push_str("{}");
                    shape.push_str(after);
                }
            }
        }
        shape
    }
}

/// All templates in one tree.
#[derive(Debug, Default)]
pub(super) struct Router {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    texts: HashMap<Box<str>, usize>,
    /// Texts that match in any case, lower-cased.
    folded: HashMap<Box<str>, usize>,
    /// Fixed ends and where they lead; the longest ends first.
    params: Vec<(Box<str>, Box<str>, usize)>,
    routes: Vec<usize>,
}

impl Router {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    /// Adds a route. Routes of one template are tried in the order they are added.
    pub(super) fn add(&mut self, template: &[Segment], ignore_case: bool, route: usize) {
        let mut at = 0;
        for segment in template {
            at = self.child(at, segment, ignore_case);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.routes.push(route);
        }
    }

    fn child(&mut self, at: usize, segment: &Segment, ignore_case: bool) -> usize {
        let next = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return at };
        let child = match segment {
            Segment::Text(text) if ignore_case => {
                *node.folded.entry(text.to_lowercase().into()).or_insert(next)
            }
            Segment::Text(text) => *node.texts.entry(text.clone()).or_insert(next),
            Segment::Param { before, after, .. } => {
                let known = node.params.iter().find(|(b, a, _)| b == before && a == after);
                match known {
                    Some((_, _, child)) => *child,
                    None => {
                        node.params.push((before.clone(), after.clone(), next));
                        node.params.sort_by_key(|(b, a, _)| std::cmp::Reverse(b.len() + a.len()));
                        next
                    }
                }
            }
        };
        if child == next {
            self.nodes.push(Node::default());
        }
        child
    }

    /// The routes whose template fits, the most specific template first. Every node of the tree is visited at most
    /// once, so the work is bounded by the policy, not by the path.
    pub(super) fn find(&self, segments: &[String]) -> Vec<usize> {
        let mut found = Vec::new();
        self.walk(0, segments, &mut found);
        found
    }

    fn walk(&self, at: usize, segments: &[String], found: &mut Vec<usize>) {
        let Some(node) = self.nodes.get(at) else { return };
        let Some((first, rest)) = segments.split_first() else {
            found.extend(&node.routes);
            return;
        };
        if let Some(child) = node.texts.get(first.as_str()) {
            self.walk(*child, rest, found);
        }
        if !node.folded.is_empty()
            && let Some(child) = node.folded.get(first.to_lowercase().as_str())
        {
            self.walk(*child, rest, found);
        }
        for (before, after, child) in &node.params {
            let fits = first.len() > before.len() + after.len()
                && first.starts_with(before.as_ref())
                && first.ends_with(after.as_ref());
            if fits {
                self.walk(*child, rest, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(templates: &[&str], path: &str) -> Vec<usize> {
        let mut router = Router::new();
        for (index, template) in templates.iter().enumerate() {
            router.add(&Segment::parse_template(template).unwrap(), template.contains("ANY"), index);
        }
        let segments: Vec<_> = path.split('/').skip(1).map(str::to_owned).collect();
        router.find(&segments)
    }

    #[test]
    fn the_most_specific_template_comes_first() {
        let templates = ["/a/{x}", "/a/b", "/a/b({x})", "/{y}/b", "/a/{x}/c", "/a/"];
        assert_eq!(find(&templates, "/a/b"), [1, 0, 3]);
        assert_eq!(find(&templates, "/a/b(7)"), [2, 0]);
        assert_eq!(find(&templates, "/a/z/c"), [4]);
        assert_eq!(find(&templates, "/a/"), [5]);
        assert!(find(&templates, "/a").is_empty());
        assert!(find(&templates, "/a/z/c/").is_empty());
    }

    #[test]
    fn case_matters_unless_the_route_says_otherwise() {
        assert!(find(&["/a/b"], "/A/b").is_empty());
        assert_eq!(find(&["/ANY/Query.Service"], "/any/query.service"), [0]);
    }

    #[test]
    fn a_parameter_is_never_empty_and_keeps_its_ends() {
        assert!(find(&["/a/b({x})"], "/a/b()").is_empty());
        let template = Segment::parse_template("/a/b({x})").unwrap();
        let (name, value) = template[1].value("b(7)").unwrap();
        assert_eq!((name.as_ref(), value), ("x", "7"));
    }

    #[test]
    fn odd_templates_are_refused() {
        for template in ["a", "/a//b", "/{", "/}", "/{}", "/{a}{b}", "/{a b}", "/..", "/{a}/{a}"] {
            assert!(Segment::parse_template(template).is_err(), "{template}");
        }
    }
}
