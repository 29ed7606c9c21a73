//! Results of tests as JUnit XML, which every build server reads.

use crate::analysis::ExampleResult;
use crate::policy::Loaded;

/// One suite for each file that holds tests.
pub(super) fn xml(policy: &Loaded, results: &[ExampleResult]) -> String {
    let placed: Vec<_> = results.iter().map(|result| (policy.place_of(result.mark), result)).collect();
    let mut files: Vec<_> = placed.iter().map(|(place, _)| &place.file).collect();
    files.sort();
    files.dedup();
    let failures = |of: &[&ExampleResult]| of.iter().filter(|result| result.failure.is_some()).count();
    let all: Vec<_> = results.iter().collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!(
        "<testsuites name=\"fieldgate\" tests=\"{}\" failures=\"{}\" errors=\"0\">\n",
        all.len(),
        failures(&all)
    ));
    for file in files {
        let own: Vec<_> = placed.iter().filter(|(place, _)| place.file == *file).collect();
        let results: Vec<_> = own.iter().map(|(_, result)| *result).collect();
        out.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\">\n",
            escaped(file),
            results.len(),
            failures(&results)
        ));
        for (place, result) in own {
            out.push_str(&format!(
                "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\"",
                escaped(&result.name),
                escaped(file),
                escaped(file),
                place.line
            ));
            match &result.failure {
                None => out.push_str("/>\n"),
                Some(failure) => {
                    let first = failure.lines().next().unwrap_or_default();
                    let first = if first.starts_with([' ', '-', '+']) { "another answer" } else { first };
                    out.push_str(&format!(
                        ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                        escaped(first),
                        escaped(failure)
                    ));
                }
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text of XML 1.0: what it cannot hold at all becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push('\t'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{MaskKeys, Purpose};

    #[test]
    fn names_and_failures_are_text_of_xml() {
        let policy = Loaded::from_texts(&[("p.yaml", "tests: []\n")], &MaskKeys::Assumed, Purpose::Check);
        let result = |name: &str, failure: Option<&str>| ExampleResult {
            name: name.into(),
            mark: crate::policy::source::Mark::default(),
            failure: failure.map(str::to_owned),
            actual: None,
            seen: crate::analysis::Seen::default(),
        };
        let results = [result("a <b> & \"c\"\u{1b}", None), result("d", Some("- ]]> \u{0}\n+ y"))];
        let text = xml(&policy, &results);
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"fieldgate\" tests=\"2\" failures=\"1\" \
             errors=\"0\">\n  <testsuite name=\"p.yaml\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\">\n    \
             <testcase name=\"a &lt;b&gt; &amp; &quot;c&quot;\u{fffd}\" classname=\"p.yaml\" file=\"p.yaml\" \
             line=\"1\"/>\n    <testcase name=\"d\" classname=\"p.yaml\" file=\"p.yaml\" line=\"1\">\n      <failure \
             message=\"another answer\">- ]]&gt; \u{fffd}&#10;+ y</failure>\n    </testcase>\n  </testsuite>\n\
             </testsuites>\n"
        );
    }
}
