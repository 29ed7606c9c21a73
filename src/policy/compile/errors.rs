//! `errors` of an api: what of its own errors passes.

use super::Compiler;
use crate::policy::permit::ErrorShape;
use crate::policy::source::Word;
use crate::policy::syntax::Errors;
use crate::policy::tree::Tree;
use crate::rewrite::{Path, Step};

impl Compiler<'_> {
    pub(super) fn error_shape(&self, errors: &Errors) -> ErrorShape {
        let told = errors.at.as_ref().and_then(|at| {
            let path = self.error_place(at)?;
            if !path.is_singular() {
                let message = format!("`{}` must name exactly one place", at.text);
                self.documents.error("bad-path", message, at.mark);
                return None;
            }
            let ok = errors.ok.iter().filter_map(|node| {
                let tree = Tree::parse(node.to_json().as_bytes(), 1).ok();
                if tree.as_ref().is_none_or(|tree| matches!(tree, Tree::List(_) | Tree::Object(_))) {
                    self.documents.error("wrong-type", "`ok` lists single values", node.mark);
                    return None;
                }
                tree
            });
            Some((path, ok.collect()))
        });
        if let (None, Some(node)) = (&errors.at, errors.ok.first()) {
            let help = "say with `at` where it stands, such as `at: $.errcode`";
            self.documents.error_with_help("missing-key", "`ok` without `at` says nothing", help, node.mark);
        }
        let kept = errors.keep.iter().filter_map(|word| Some((self.error_place(word)?, None)));
        let masked = errors
            .mask
            .iter()
            .filter_map(|(word, name)| Some((self.error_place(word)?, Some(self.mask(name)?))));
        ErrorShape { told, kept: kept.chain(masked).collect() }
    }

    /// A member of the root, or a JSONPath of names, indexes and `[*]`.
    fn error_place(&self, word: &Word) -> Option<Path> {
        let path = self.field_path(word)?;
        let plain = |step: &Step| matches!(step, Step::Name(_) | Step::Index(_) | Step::Elements);
        if path.is_root() || !path.steps().iter().all(plain) {
            let message = format!("`{}` names no single member of an error", word.text);
            self.documents.error_with_help("bad-path", message, "name each member that passes", word.mark);
            return None;
        }
        Some(path)
    }
}
