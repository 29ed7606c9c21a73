//! Labels, paths and `*` become ranked engine selectors.
//!
//! Within one permission every labelled place, and every place below one that a selector names, is a *point*. Each
//! point gets the access of the most specific selector that covers it: a longer path before a shorter one, a path
//! before a label, a label before `*`; at equal specificity hide before mask before show. Between two points nothing
//! changes, so in the engine the longest point above a place decides: the rank is the length of the path. Where
//! there is no point above, nobody labelled the place, and it stays unknown. Where unknown places are shown, what a
//! selector hides or masks by its path is a point too, also if only something below is labelled: the rest of what it
//! names would otherwise pass as unknown. Where two points of one length meet, `lines[*].price` and
//! `lines[-1].price`, the one that picks fewer elements decides.

use std::cmp::Reverse;

use crate::base::Diagnostic;
use crate::rewrite::{Access, Path, Selector};

use super::Compiler;
use crate::policy::model::{ResourceId, ResourceTable};
use crate::policy::source::{Word, did_you_mean};

/// What a selector of a permission names.
#[derive(Clone, Debug)]
pub(super) enum Pick {
    /// Every labelled field.
    All,
    /// Every field with this label.
    Label(usize),
    /// This place and everything labelled below it.
    Place(Path),
}

impl Pick {
    /// How specific it is where it covers a point; `None`: it does not cover it.
    fn covers(&self, resource: &ResourceTable, point: &Path) -> Option<(u8, usize)> {
        match self {
            Self::All => Some((0, 0)),
            Self::Label(label) => (resource.label_at(point) == Some(*label)).then_some((1, 0)),
            Self::Place(path) => path.is_prefix_of(point).then(|| (2, path.steps().len())),
        }
    }
}

/// The access that picks give at every point of a resource; `otherwise` where none covers it.
pub(super) fn resolve(
    resource: &ResourceTable,
    picks: &[(Pick, Access)],
    otherwise: &Access,
) -> Vec<Selector> {
    points(resource, picks)
        .into_iter()
        .map(|path| {
            let best = picks
                .iter()
                .filter_map(|(pick, access)| Some((pick.covers(resource, &path)?, access)))
                .max_by_key(|(specificity, access)| (*specificity, Reverse(revealing(access))));
            let access = best.map_or_else(|| otherwise.clone(), |(_, access)| access.clone());
            Selector { rank: rank(&path), path, access }
        })
        .collect()
}

fn points(resource: &ResourceTable, picks: &[(Pick, Access)]) -> Vec<Path> {
    let mut points: Vec<_> = resource.fields.iter().map(|field| field.path.clone()).collect();
    let taken_away = |path: &Path| {
        resource.unknown_shown
            && picks.iter().any(|(pick, access)| match pick {
                Pick::Place(above) => !matches!(access, Access::Show) && above.is_prefix_of(path),
                Pick::All | Pick::Label(_) => false,
            })
    };
    for (pick, _) in picks {
        if let Pick::Place(path) = pick
            && (resource.label_at(path).is_some() || taken_away(path))
            && !points.contains(path)
        {
            points.push(path.clone());
        }
    }
    points
}

/// What an access reveals, for the order at equal specificity: hide, the masks by strength, show.
fn revealing(access: &Access) -> (u8, u8, u64) {
    match access {
        Access::Hide => (0, 0, 0),
        Access::Mask(mask) => {
            let strength = mask.strength();
            (1, strength.kind, strength.within)
        }
        Access::Show => (2, 0, 0),
    }
}

fn rank(path: &Path) -> u32 {
    let narrow = path.steps().iter().filter(|step| step.is_narrow()).count();
    u32::try_from(path.steps().len() << 8 | narrow).unwrap_or(u32::MAX)
}

impl Compiler<'_> {
    /// Looks up one selector of a permission or guard on a resource.
    pub(super) fn pick(&self, word: &Word, resource: ResourceId) -> Option<Pick> {
        let table = self.tables.resources.get(resource)?;
        if word.text.as_ref() == "*" {
            if table.fields.is_empty() {
                self.matches_nothing(word, table);
                return None;
            }
            return Some(Pick::All);
        }
        if let Some(label) = self.label_ids.get(&word.text) {
            return self.pick_label(word, table, *label);
        }
        let path = self.field_place(word)?;
        if let Some((place, related)) = table.relations.iter().find(|(place, _)| place.is_prefix_of(&path)) {
            let related = self.tables.resources.get(*related).map_or("", |related| related.name.as_ref());
            self.documents.error_with_help(
                "related-record",
                format!("`{place}` is a related record of `{related}`"),
                format!("give permissions on the resource `{related}`: they decide"),
                word.mark,
            );
            return None;
        }
        let known = table.label_at(&path).is_some()
            || table.fields.iter().any(|field| path.is_prefix_of(&field.path));
        if !known {
            self.matches_nothing(word, table);
            return None;
        }
        Some(Pick::Place(path))
    }

    fn pick_label(&self, word: &Word, table: &ResourceTable, label: usize) -> Option<Pick> {
        if let Some(field) = table.fields.iter().find(|field| field.text == word.text) {
            self.documents.error_with_help(
                "ambiguous-selector",
                format!("`{}` is a label and a field of `{}`", word.text, table.name),
                format!("write `$.{}` for the field, or rename the label", field.text),
                word.mark,
            );
            return None;
        }
        if !table.fields.iter().any(|field| field.label == label) {
            let message = format!("no field of `{}` has the label `{}`", table.name, word.text);
            let labels = self
                .tables
                .labels
                .iter()
                .enumerate()
                .filter(|(index, _)| table.fields.iter().any(|field| field.label == *index));
            let names: Vec<_> = labels.map(|(_, name)| format!("`{name}`")).collect();
            let help = format!("its labels are {}", names.join(", "));
            self.documents.error_with_help("matches-nothing", message, help, word.mark);
            return None;
        }
        Some(Pick::Label(label))
    }

    fn matches_nothing(&self, word: &Word, table: &ResourceTable) {
        let fields = table.fields.iter().map(|field| field.text.as_ref());
        let labels = self.tables.labels.iter().map(AsRef::as_ref);
        let diagnostic = Diagnostic::error(
            "matches-nothing",
            format!("`{}` matches no label and no declared field of `{}`", word.text, table.name),
        )
        .at(self.documents.place(word.mark));
        let help = did_you_mean(&word.text, fields.chain(labels)).unwrap_or_else(|| {
            format!("declare the field under `resources.{}.fields`, with its label", table.name)
        });
        self.documents.push(diagnostic.help(help));
    }
}
