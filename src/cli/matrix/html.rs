//! The picture as one page that needs nothing else.
//!
//! Texts of the policy are escaped wherever they stand, and the page's own policy lets only the script and the style
//! that are written here run, by their hashes.

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use crate::analysis::{ActionMark, Cell, Column, Matrix, Section};
use crate::policy::Action;

use super::text::actions;
use super::words::{Piece, one_line, pieces, places};

/// Draws it.
pub(super) fn draw(matrix: &Matrix) -> String {
    let mut page = Page { out: String::new(), matrix };
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw(&format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; script-src '{}'\">\n",
        hash(STYLE),
        hash(SCRIPT)
    ));
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<title>Who sees what</title>\n<style>");
    page.raw(STYLE);
    page.raw("</style>\n</head>\n<body>\n");
    page.head();
    page.table();
    page.notes();
    page.shadow();
    page.raw("<script>");
    page.raw(SCRIPT);
    page.raw("</script>\n</body>\n</html>\n");
    page.out
}

struct Page<'m> {
    out: String,
    matrix: &'m Matrix,
}

impl Page<'_> {
    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn text(&mut self, text: &str) {
        self.out.push_str(&escaped(text));
    }

    fn head(&mut self) {
        let fields: usize = self
            .matrix
            .sections
            .iter()
            .flat_map(|section| &section.groups)
            .map(|group| group.rows.len())
            .sum();
        let counts = format!(
            "{} roles, {} resources, {fields} fields · policy ",
            self.matrix.columns.len(),
            self.matrix.sections.len()
        );
        self.raw("<header>\n<div><h1>Who sees what</h1>\n<p>");
        self.text(&counts);
        self.raw("<code>");
        let version = self.matrix.version.clone();
        self.text(&version);
        self.raw("</code></p></div>\n");
        self.raw("<label class=\"find\">Filter <input id=\"find\" type=\"search\" placeholder=\"field, label or role\" autocomplete=\"off\"></label>\n");
        self.raw(LEGEND);
        self.raw("</header>\n");
    }

    fn table(&mut self) {
        self.raw("<table>\n<thead><tr><th class=\"corner\"></th>");
        for column in &self.matrix.columns {
            self.column(column);
        }
        self.raw("</tr></thead>\n");
        for (index, section) in self.matrix.sections.iter().enumerate() {
            self.section(index, section);
        }
        self.raw("</table>\n");
    }

    fn column(&mut self, column: &Column) {
        self.raw("<th scope=\"col\" data-find=\"");
        self.text(&column.role.to_lowercase());
        self.raw("\"><b>");
        self.text(&column.role);
        self.raw("</b>");
        if !column.inherits.is_empty() {
            self.raw("<span>includes ");
            self.text(&column.inherits.join(", "));
            self.raw("</span>");
        }
        if !column.unmasks.is_empty() {
            self.raw("<span>may have turned back ");
            self.text(&column.unmasks.join(", "));
            self.raw("</span>");
        }
        self.raw("<span>");
        self.text(&column.holders.sentence().replace('`', ""));
        self.raw("</span></th>");
    }

    fn section(&mut self, index: usize, section: &Section) {
        let wide = self.matrix.columns.len();
        self.raw(&format!("<tbody class=\"resource\" data-section=\"{index}\"><tr><th scope=\"rowgroup\">"));
        self.text(&section.resource);
        let nested = section.actions.iter().all(Vec::is_empty);
        let hint = if nested { "no route of its own: seen inside other records" } else { "" };
        self.raw(&format!("</th><td colspan=\"{wide}\">{hint}</td></tr></tbody>\n"));
        self.raw(&format!("<tbody class=\"may\" data-section=\"{index}\">\n"));
        for action in actions(section) {
            self.row_head(&[&section.resource, "may", action.name()], &format!("may {action}"));
            for marks in &section.actions {
                self.permitted(marks, action);
            }
            self.raw("</tr>\n");
        }
        self.raw("</tbody>\n");
        for group in &section.groups {
            let (rank, labels) = group.rank;
            let label = group.label.as_deref().unwrap_or("unlabelled");
            let shade = (rank * (SHADES - 1)).checked_div(labels.saturating_sub(1)).unwrap_or(0);
            self.raw(&format!("<tbody class=\"label s{shade}\" data-section=\"{index}\">\n"));
            self.raw("<tr class=\"name\"><th scope=\"rowgroup\">");
            self.text(label);
            self.raw(&format!("</th><td colspan=\"{wide}\"></td></tr>\n"));
            for row in &group.rows {
                self.row_head(&[&section.resource, label, &row.field], &row.field);
                row.cells.iter().for_each(|cell| self.cell(cell));
                self.raw("</tr>\n");
            }
            self.raw("</tbody>\n");
        }
    }

    fn row_head(&mut self, find: &[&str], name: &str) {
        self.raw("<tr data-find=\"");
        self.text(&find.join(" ").to_lowercase());
        self.raw("\"><th scope=\"row\">");
        self.text(name);
        self.raw("</th>");
    }

    fn permitted(&mut self, marks: &[ActionMark], action: &Action) {
        match marks.iter().find(|mark| mark.action == *action) {
            None => self.raw(NOTHING),
            Some(mark) => {
                self.raw("<td><span class=\"yes\">yes");
                self.numbers(&mark.notes);
                self.raw("</span></td>");
            }
        }
    }

    fn cell(&mut self, cell: &Cell) {
        if *cell == Cell::default() {
            self.raw(NOTHING);
            return;
        }
        self.raw("<td>");
        for mark in &cell.marks {
            let some = if mark.notes.is_empty() { "" } else { " some" };
            match &mark.mask {
                None => self.raw(&format!("<span class=\"show{some}\">show")),
                Some(mask) => {
                    self.raw(&format!("<span class=\"mask{some}\">"));
                    self.text(mask);
                }
            }
            self.numbers(&mark.notes);
            self.raw("</span>");
        }
        if cell.marks.is_empty() {
            self.raw("<span class=\"no\">·</span>");
        }
        self.numbers(&cell.notes);
        if let Some(notes) = &cell.edit {
            self.raw("<span class=\"tag\">edit");
            self.numbers(notes);
            self.raw("</span>");
        }
        if cell.query {
            self.raw("<span class=\"tag\">query</span>");
        }
        self.raw("</td>");
    }

    fn numbers(&mut self, numbers: &[usize]) {
        for number in numbers {
            let Some(note) = number.checked_sub(1).and_then(|index| self.matrix.notes.get(index)) else {
                continue;
            };
            self.raw(&format!("<a href=\"#n{number}\" title=\""));
            self.text(&super::words::sentence(note));
            self.raw(&format!("\">{number}</a>"));
        }
    }

    fn notes(&mut self) {
        if self.matrix.notes.is_empty() {
            return;
        }
        self.raw("<h2>Notes</h2>\n<ol>\n");
        for (index, note) in self.matrix.notes.iter().enumerate() {
            self.raw(&format!("<li id=\"n{}\">", index + 1));
            for piece in pieces(note) {
                match piece {
                    Piece::Words(words) => self.text(&words),
                    Piece::Code(code) => {
                        self.raw("<code>");
                        self.text(code);
                        self.raw("</code>");
                    }
                }
            }
            self.raw(" <small>");
            self.text(&places(note));
            self.raw("</small></li>\n");
        }
        self.raw("</ol>\n");
    }

    fn shadow(&mut self) {
        if self.matrix.shadow.is_empty() {
            return;
        }
        self.raw("<h2>In shadow, without effect</h2>\n<ul>\n");
        for rule in &self.matrix.shadow {
            self.raw("<li>");
            self.text(&super::words::in_shadow(rule));
            self.raw("</li>\n");
        }
        self.raw("</ul>\n");
    }
}

/// Text as it may stand in an element or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A source expression of Content Security Policy Level 3 section 2.3.1.
fn hash(text: &str) -> String {
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text)))
}

/// Shades from the most open to the most guarded label.
const SHADES: usize = 6;
const NOTHING: &str = "<td><span class=\"no\">·</span></td>";
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const LEGEND: &str = "<ul class=\"legend\">\n<li><span class=\"show\">show</span> in clear</li>\n\
    <li><span class=\"show some\">show<a>1</a></span> where note 1 says so</li>\n\
    <li><span class=\"mask\">phone</span> masked as <i>phone</i></li>\n\
    <li><span class=\"no\">·</span> hidden</li>\n<li><span class=\"tag\">edit</span> may be set</li>\n\
    <li><span class=\"tag\">query</span> may be filtered or sorted by</li>\n</ul>\n";
