//! Numbers in free text: groups of digits with separators between, and what they may be.

use std::ops::Range;

use super::spec::Detector;

/// Digits that stand together.
struct Group {
    /// Where they stand, in bytes.
    span: Range<usize>,
    /// The digits in ASCII.
    digits: String,
    /// Where an `X` behind them ends, as in identity numbers.
    x_end: Option<usize>,
    /// Where a `+` before them starts.
    plus: Option<usize>,
    /// Whether only separators stand between the group before and this one.
    joined: bool,
}

/// What numbers of the wanted kinds stand in `text`. Linear: each group is looked at with at most four after it.
pub(super) fn find(text: &str, detectors: &[Detector], found: &mut Vec<Range<usize>>) {
    let groups = groups(text);
    for start in 0..groups.len() {
        let Some(rest) = groups.get(start..) else { return };
        let joined = rest.iter().skip(1).take(MAX_GROUPS - 1).take_while(|group| group.joined).count();
        let run = rest.get(..=joined).unwrap_or_default();
        for detector in detectors {
            let span = match detector {
                Detector::Phone => phone(run),
                Detector::IdCard => id_card(run),
                Detector::BankCard => bank_card(run),
                Detector::Email | Detector::Iban => None,
            };
            found.extend(span);
        }
    }
}

/// The groups of a text; full-width digits count as digits.
fn groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut gap = Gap::default();
    let mut inside = false;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        match (digit(c), groups.last_mut()) {
            (Some(digit), Some(group)) if inside => {
                group.digits.push(digit);
                group.span.end = end;
            }
            (Some(digit), _) => {
                let joined = gap.joins && gap.length <= 2 && !groups.is_empty();
                let digits = digit.to_string();
                groups.push(Group { span: at..end, digits, x_end: None, plus: gap.plus, joined });
                inside = true;
            }
            (None, last) => {
                if inside {
                    let ends_word =
                        !text.get(end..).unwrap_or_default().starts_with(|c: char| c.is_ascii_alphanumeric());
                    if let Some(group) = last.filter(|_| matches!(c, 'x' | 'X' | 'Ｘ' | 'ｘ') && ends_word)
                    {
                        group.x_end = Some(end);
                    }
                    gap = Gap { joins: true, ..Gap::default() };
                }
                inside = false;
                gap.length += 1;
                gap.joins &= is_separator(c);
                gap.plus = matches!(c, '+' | '＋').then_some(at);
            }
        }
    }
    groups
}

/// What stands between two groups.
#[derive(Default)]
struct Gap {
    length: usize,
    joins: bool,
    plus: Option<usize>,
}

/// Mobile numbers of China, alone or with their country code; anything behind a `+`; area code and number.
fn phone(run: &[Group]) -> Option<Range<usize>> {
    let first = run.first()?;
    if let Some(plus) = first.plus {
        // E.164: at most 15 digits.
        let (mut digits, mut end) = (0, first.span.end);
        for group in run {
            if digits + group.digits.len() > 15 {
                break;
            }
            digits += group.digits.len();
            end = group.span.end;
        }
        return (digits >= 7).then_some(plus..end);
    }
    let behind_code = match &*first.digits {
        "86" | "0086" | "1" => run.get(1..).and_then(national),
        _ => None,
    };
    behind_code.or_else(|| national(run)).map(|last| first.span.start..last.span.end)
}

/// The last group of a number in a common national notation.
fn national(run: &[Group]) -> Option<&Group> {
    let first = run.first()?;
    let single = first.digits.strip_prefix("0086").or_else(|| first.digits.strip_prefix("86"));
    if is_mobile(&first.digits) || single.is_some_and(is_mobile) {
        return Some(first);
    }
    let sizes: Vec<usize> = run.iter().map(|group| group.digits.len()).collect();
    let length = match sizes.as_slice() {
        [3, 4, 4, ..] | [3, 3, 5, ..] if is_mobile_start(&first.digits) => 3,
        [3, 8, ..] if is_mobile_start(&first.digits) => 2,
        [3 | 4, 7 | 8, ..] if first.digits.starts_with('0') => 2,
        [3 | 4, 3 | 4, 4, ..] if first.digits.starts_with('0') => 3,
        [3, 3, 4, ..] if first.digits.starts_with(|digit| matches!(digit, '2'..='9')) => 3,
        _ => return None,
    };
    run.get(length - 1)
}

fn is_mobile(digits: &str) -> bool {
    digits.len() == 11 && is_mobile_start(digits)
}

fn is_mobile_start(digits: &str) -> bool {
    matches!(digits.as_bytes(), [b'1', b'3'..=b'9', ..])
}

/// Identity numbers, also written as region, birthday and rest.
fn id_card(run: &[Group]) -> Option<Range<usize>> {
    let first = run.first()?;
    let sizes: Vec<usize> = run.iter().map(|group| group.digits.len()).collect();
    let groups = match sizes.as_slice() {
        [17 | 18, ..] => 1,
        [6, 8, 3 | 4, ..] => 3,
        _ => return None,
    };
    let last = run.get(groups - 1)?;
    let digits: String = run.iter().take(groups).map(|group| group.digits.as_str()).collect();
    match digits.len() {
        18 => is_id_card(&digits).then_some(first.span.start..last.span.end),
        17 => {
            let end = last.x_end?;
            is_id_card(&format!("{digits}X")).then_some(first.span.start..end)
        }
        _ => None,
    }
}

/// Cards, in one piece or as they are printed: fours, or 4-6-5.
fn bank_card(run: &[Group]) -> Option<Range<usize>> {
    let first = run.first()?;
    let sizes: Vec<usize> = run.iter().map(|group| group.digits.len()).collect();
    let candidates: &[usize] = match sizes.as_slice() {
        [15..=19, ..] => &[1],
        [4, 6, 5, ..] => &[3],
        [4, 4, 4, 4, 1..=3, ..] => &[5, 4],
        [4, 4, 4, 4, ..] => &[4],
        _ => return None,
    };
    candidates.iter().find_map(|groups| {
        let last = run.get(groups - 1)?;
        let digits: String = run.iter().take(*groups).map(|group| group.digits.as_str()).collect();
        is_bank_card(&digits).then_some(first.span.start..last.span.end)
    })
}

/// GB 11643: a birthday in the middle. That tells it from other numbers; the checksum is not asked for, as a number
/// with a slip of the pen gives away as much.
fn is_id_card(number: &str) -> bool {
    let part =
        |range: Range<usize>| number.get(range).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0);
    (1900..2100).contains(&part(6..10))
        && (1..=12).contains(&part(10..12))
        && (1..=31).contains(&part(12..14))
}

/// 16 to 19 digits, or 15 of American Express, with Luhn's checksum (ISO/IEC 7812-1).
fn is_bank_card(number: &str) -> bool {
    let fits = match number.len() {
        15 => number.starts_with("34") || number.starts_with("37"),
        length => (16..=19).contains(&length),
    };
    let sum: u32 = number
        .chars()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .enumerate()
        .map(|(index, digit)| match (index % 2, digit * 2) {
            (0, _) => digit,
            (_, double) => double / 10 + double % 10,
        })
        .sum();
    // All zeros pass the checksum and are no card.
    fits && sum > 0 && sum.is_multiple_of(10)
}

fn digit(c: char) -> Option<char> {
    match c {
        '0'..='9' => Some(c),
        '０'..='９' => char::from_digit(u32::from(c) - u32::from('０'), 10),
        _ => None,
    }
}

fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '-' | '.' | '(' | ')' | '\u{a0}' | '\u{2010}' | '\u{2011}' | '\u{2013}' | '－' | '\u{3000}'
    )
}

/// Most groups that one number is written in.
const MAX_GROUPS: usize = 5;
