//! Errors of an api: by their status, or told inside an answer with a good one. They pass only as far as the policy
//! declares; the rest of an error may hold what was asked about.

use bytes::Bytes;
use http::StatusCode;

use crate::policy::{ErrorShape, Permit, Tree};
use crate::rewrite::charset::Transcoder;
use crate::rewrite::codec::{Coding, DecodeBounds, Decoder};
use crate::rewrite::mask::{Mask, Masked, Scalar};
use crate::rewrite::{Format, Step};
use crate::upstream::UpstreamResponse;

use super::content;
use super::unscreenable::Unscreenable;

/// What is left of an error: JSON; `None`: nothing that may pass.
pub fn declared(shape: &ErrorShape, body: &[u8]) -> Option<Vec<u8>> {
    let tree = Tree::parse(body, DEPTH).ok()?;
    let places: Vec<Place<'_>> =
        shape.kept.iter().map(|(path, mask)| (path.steps(), mask.as_deref())).collect();
    kept(&tree, &places).map(|tree| tree.to_json().into_bytes())
}

/// Whether an answer says by itself that it is an error.
pub fn is_told(shape: &ErrorShape, body: &[u8]) -> bool {
    let Some((path, ok)) = &shape.told else { return false };
    Tree::parse(body, DEPTH).is_ok_and(|tree| tree.at(path).is_some_and(|value| !ok.contains(value)))
}

/// Whether an error with this status may be told of: one about the gateway's own credentials or connection may not.
pub(super) fn may_pass(status: StatusCode) -> bool {
    !matches!(status.as_u16(), 401 | 407 | 408 | 421 | 425 | 426 | 431)
}

/// A body that is short enough to be an error, decoded; `None`: it is longer, or not to be read.
pub(super) async fn read(
    permit: &Permit,
    answer: &mut UpstreamResponse,
) -> Result<Option<Bytes>, Unscreenable> {
    let headers = &answer.head().headers;
    let stated = content::coding(headers)
        .and_then(|coding| Ok((coding, content::media_type(headers, &Format::Json)?)));
    let Ok((coding, stated)) = stated else { return Ok(None) };
    let sniff = answer.sniff_gzip();
    let Some(body) = answer.peek(MAX_BYTES).await? else { return Ok(None) };
    let coding = if sniff && coding == Coding::Gzip && !body.starts_with(&GZIP_MAGIC) {
        Coding::Identity
    } else {
        coding
    };
    let mut plain = Vec::new();
    let mut transcoder = Transcoder::new(stated.charset);
    let mut decoder =
        Decoder::new(coding, DecodeBounds { bytes: MAX_BYTES as u64, ..DecodeBounds::default() });
    let mut collect = |piece: &[u8]| {
        plain.extend_from_slice(piece);
        Ok(())
    };
    let read = decoder
        .push(&body, &mut |piece| transcoder.push(piece, &mut collect))
        .and_then(|()| decoder.finish())
        .and_then(|()| transcoder.finish(&mut collect));
    debug_assert!(permit.route().errors.is_some());
    Ok(read.is_ok().then(|| plain.into()))
}

/// A place below where one stands, and how what stands there passes.
type Place<'p> = (&'p [Step], Option<&'p Mask>);

fn kept(tree: &Tree, places: &[Place<'_>]) -> Option<Tree> {
    let below = |fits: &dyn Fn(&Step) -> bool| -> Vec<Place<'_>> {
        let inside = places.iter().filter_map(|(steps, mask)| Some((steps.split_first()?, *mask)));
        inside.filter(|((step, _), _)| fits(step)).map(|((_, rest), mask)| (rest, mask)).collect()
    };
    match tree {
        Tree::Object(members) => {
            let kept = members.iter().filter_map(|(name, value)| {
                let places = below(&|step| matches!(step, Step::Name(known) if known == name));
                Some((name.clone(), kept(value, &places)?))
            });
            Some(kept.collect::<Vec<_>>()).filter(|kept| !kept.is_empty()).map(Tree::Object)
        }
        Tree::List(items) => {
            let kept = items.iter().enumerate().filter_map(|(at, item)| {
                let index = |step: &Step| match step {
                    Step::Elements => true,
                    Step::Index(index) => usize::try_from(*index) == Ok(at),
                    _ => false,
                };
                kept(item, &below(&index))
            });
            Some(kept.collect::<Vec<_>>()).filter(|kept| !kept.is_empty()).map(Tree::List)
        }
        leaf => {
            // Of a place that is kept and masked, what reveals less is meant.
            let here: Vec<_> = places.iter().filter(|(steps, _)| steps.is_empty()).collect();
            let mask = here.iter().filter_map(|(_, mask)| *mask).min_by_key(|mask| mask.strength());
            match (here.is_empty(), mask) {
                (true, _) => None,
                (false, None) => Some(leaf.clone()),
                (false, Some(mask)) => masked(mask, leaf),
            }
        }
    }
}

fn masked(mask: &Mask, leaf: &Tree) -> Option<Tree> {
    let value = match leaf {
        Tree::Null => Scalar::Null,
        Tree::Bool(value) => Scalar::Bool(*value),
        Tree::Number(text) => Scalar::Number(text),
        Tree::Text(text) => Scalar::Text(text),
        Tree::List(_) | Tree::Object(_) => return None,
    };
    Some(match mask.apply(value) {
        Masked::Null => Tree::Null,
        Masked::Number(text) => Tree::Number(text.into()),
        Masked::Text(text) => Tree::Text(text.into()),
        Masked::Bool(value) => Tree::Bool(value),
    })
}

/// Longest error, coded and decoded; anything longer is no error, and as one replaced.
const MAX_BYTES: usize = 64 << 10;
const DEPTH: usize = 64;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::Path;
    use crate::rewrite::mask::{Keys, MaskSpec, Masks};

    fn shape(kept: &[&str], told: Option<(&str, &str)>) -> ErrorShape {
        let path = |text: &str| Path::parse_jsonpath(text).unwrap();
        ErrorShape {
            told: told.map(|(at, ok)| (path(at), vec![Tree::parse(ok.as_bytes(), 1).unwrap()])),
            kept: kept.iter().map(|text| (path(text), None)).collect(),
        }
    }

    fn left(kept: &[&str], body: &str) -> Option<String> {
        declared(&shape(kept, None), body.as_bytes()).map(|body| String::from_utf8(body).unwrap())
    }

    #[test]
    fn single_values_pass_at_declared_places_and_nothing_else() {
        let body = r#"{"code":7,"message":"no","phone":"13800138000","more":{"code":7,"id":1}}"#;
        assert_eq!(left(&["$.code", "$.more.id"], body).unwrap(), r#"{"code":7,"more":{"id":1}}"#);
        assert_eq!(left(&["$.more"], body), None, "a container may hold anything");
        assert_eq!(left(&["$.other"], body), None);
        assert_eq!(
            left(&["$[*].code", "$[1].x"], r#"[{"code":1,"x":1},{"x":2}]"#).unwrap(),
            r#"[{"code":1},{"x":2}]"#
        );
        assert_eq!(left(&[], body), None);
    }

    #[test]
    fn what_two_parsers_could_read_differently_does_not_pass() {
        for body in [r#"{"code":1,"code":2}"#, r#"{"code":1"#, "code", "", "\u{feff}{\"code\":1}"] {
            assert_eq!(left(&["$.code"], body), None, "{body}");
        }
        let deep = format!("{}1{}", "[".repeat(DEPTH + 1), "]".repeat(DEPTH + 1));
        assert_eq!(left(&["$.code"], &deep), None);
    }

    #[test]
    fn a_place_that_is_masked_anywhere_is_masked() {
        let none: [(&str, &MaskSpec); 0] = [];
        let masks = Masks::build(none, &Keys::default()).unwrap();
        let mut shape = shape(&["$.message"], None);
        shape.kept.push((Path::parse_jsonpath("$.message").unwrap(), masks.get("stars").cloned()));
        assert_eq!(declared(&shape, br#"{"message":"x"}"#).unwrap(), br#"{"message":"***"}"#);
    }

    #[test]
    fn an_answer_tells_of_an_error_by_what_stands_at_one_place() {
        let shape = shape(&[], Some(("$.errcode", "0")));
        assert!(is_told(&shape, br#"{"errcode":40013}"#) && is_told(&shape, br#"{"errcode":"0"}"#));
        assert!(!is_told(&shape, br#"{"errcode":0,"data":[]}"#) && !is_told(&shape, br#"{"data":[]}"#));
    }
}
