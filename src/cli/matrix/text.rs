//! The picture for a terminal.

use icu_properties::{CodePointMapData, props::EastAsianWidth};

use crate::analysis::{ActionMark, Cell, Matrix, Section};
use crate::policy::Action;

use super::words::{in_shadow, one_line, places, sentence};

/// Draws it; roles that do not fit into `width` follow in further blocks.
pub(super) fn draw(matrix: &Matrix, width: usize) -> String {
    let mut out = String::new();
    for section in &matrix.sections {
        let table = Table::of(matrix, section);
        for block in table.blocks(width) {
            table.draw(&block, &mut out);
            out.push('\n');
        }
    }
    out.push_str("show  in clear    ≈NAME  masked    ·  hidden    e  may be set    q  queries may name it\n");
    for column in matrix.columns.iter().filter(|column| !column.unmasks.is_empty()) {
        let masks = one_line(&column.unmasks.join(", "));
        out.push_str(&format!("{} may have turned back: {masks}\n", one_line(&column.role)));
    }
    if !matrix.notes.is_empty() {
        out.push('\n');
    }
    for (index, note) in matrix.notes.iter().enumerate() {
        let number = raised(&[index + 1]);
        out.push_str(&format!("{number:>3} {}\n", one_line(&sentence(note))));
        if !note.places.is_empty() {
            out.push_str(&format!("    {}\n", one_line(&places(note))));
        }
    }
    if !matrix.shadow.is_empty() {
        out.push_str("\nin shadow, without effect:\n");
    }
    for rule in &matrix.shadow {
        out.push_str(&format!("    {}\n", one_line(&in_shadow(rule))));
    }
    out
}

/// One resource as texts: a head, then rows of a name and one text for every role.
struct Table {
    head: Vec<String>,
    rows: Vec<TextRow>,
}

enum TextRow {
    Label(String),
    Cells(String, Vec<String>),
}

impl Table {
    fn of(matrix: &Matrix, section: &Section) -> Self {
        let mut head = vec![one_line(&section.resource)];
        head.extend(matrix.columns.iter().map(|column| one_line(&column.role)));
        let mut rows = Vec::new();
        for action in actions(section) {
            let cells = section.actions.iter().map(|marks| permitted(marks, action)).collect();
            rows.push(TextRow::Cells(format!("may {action}"), cells));
        }
        for group in &section.groups {
            rows.push(TextRow::Label(one_line(group.label.as_deref().unwrap_or("unlabelled"))));
            for row in &group.rows {
                let cells = row.cells.iter().map(cell).collect();
                rows.push(TextRow::Cells(format!("  {}", one_line(&row.field)), cells));
            }
        }
        Self { head, rows }
    }

    /// The width of a column; column 0 holds the names.
    fn width_of(&self, column: usize) -> usize {
        let of_row = |row: &TextRow| match row {
            TextRow::Label(label) => {
                if column == 0 {
                    width(label)
                } else {
                    0
                }
            }
            TextRow::Cells(name, _) if column == 0 => width(name),
            TextRow::Cells(_, cells) => cells.get(column - 1).map_or(0, |cell| width(cell)),
        };
        let head = self.head.get(column).map_or(0, |text| width(text));
        self.rows.iter().map(of_row).chain([head]).max().unwrap_or(0)
    }

    /// Columns that fit beside the names, as numbers from 1; at least one in each block.
    fn blocks(&self, wide: usize) -> Vec<Vec<usize>> {
        let names = self.width_of(0);
        let (mut blocks, mut block, mut used) = (Vec::new(), Vec::new(), names);
        for column in 1..self.head.len() {
            let more = GAP + self.width_of(column);
            if !block.is_empty() && used + more > wide {
                blocks.push(std::mem::take(&mut block));
                used = names;
            }
            block.push(column);
            used += more;
        }
        blocks.push(block);
        blocks
    }

    fn draw(&self, block: &[usize], out: &mut String) {
        let widths: Vec<usize> = block.iter().map(|column| self.width_of(*column)).collect();
        let names = self.width_of(0);
        let line = |name: &str, texts: &dyn Fn(usize) -> String, out: &mut String| {
            let mut line = padded(name, names);
            for (column, width) in block.iter().zip(&widths) {
                line.push_str(&" ".repeat(GAP));
                line.push_str(&padded(&texts(*column), *width));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        };
        let head = |column: usize| self.head.get(column).cloned().unwrap_or_default();
        line(&head(0), &head, out);
        let total = names + widths.iter().map(|width| width + GAP).sum::<usize>();
        out.push_str(&"─".repeat(total));
        out.push('\n');
        for row in &self.rows {
            match row {
                TextRow::Label(label) => {
                    out.push_str(label);
                    out.push('\n');
                }
                TextRow::Cells(name, cells) => {
                    let text = |column: usize| cells.get(column - 1).cloned().unwrap_or_default();
                    line(name, &text, out);
                }
            }
        }
    }
}

/// Every action that any role may do, in their usual order.
pub(super) fn actions(section: &Section) -> Vec<&Action> {
    let mut all: Vec<_> = section.actions.iter().flatten().map(|mark| &mark.action).collect();
    all.sort();
    all.dedup();
    all
}

fn permitted(marks: &[ActionMark], action: &Action) -> String {
    let mark = marks.iter().find(|mark| mark.action == *action);
    mark.map_or_else(|| HIDDEN.to_owned(), |mark| format!("yes{}", raised(&mark.notes)))
}

fn cell(cell: &Cell) -> String {
    let mut parts: Vec<String> = cell
        .marks
        .iter()
        .map(|mark| {
            let name =
                mark.mask.as_ref().map_or_else(|| "show".to_owned(), |mask| format!("≈{}", one_line(mask)));
            format!("{name}{}", raised(&mark.notes))
        })
        .collect();
    if parts.is_empty() {
        parts.push(HIDDEN.to_owned());
    }
    if let (Some(last), false) = (parts.last_mut(), cell.notes.is_empty()) {
        if last.ends_with(DIGITS) {
            last.push(BETWEEN);
        }
        last.push_str(&raised(&cell.notes));
    }
    if let Some(notes) = &cell.edit {
        parts.push(format!("e{}", raised(notes)));
    }
    if cell.query {
        parts.push("q".to_owned());
    }
    parts.join(" ")
}

/// Numbers of notes: `¹˒³`.
fn raised(numbers: &[usize]) -> String {
    let raise = |number: &usize| -> String {
        number.to_string().bytes().filter_map(|digit| DIGITS.get(usize::from(digit - b'0'))).collect()
    };
    let texts: Vec<String> = numbers.iter().map(raise).collect();
    texts.join(&BETWEEN.to_string())
}

fn padded(text: &str, wide: usize) -> String {
    format!("{text}{}", " ".repeat(wide.saturating_sub(width(text))))
}

/// Cells of a terminal that a text takes: Chinese characters take two.
fn width(text: &str) -> usize {
    let of = CodePointMapData::<EastAsianWidth>::new();
    let wide = |c: char| matches!(of.get(c), EastAsianWidth::Wide | EastAsianWidth::Fullwidth);
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
/// Between two numbers of notes.
const BETWEEN: char = '˒';
const HIDDEN: &str = "·";
/// Blanks between columns.
const GAP: usize = 2;
