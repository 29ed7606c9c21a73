//! The JSON parsing suite, where it is at hand: next to the repository, in `shared/suites/JSONTestSuite`.

use super::super::{Format, Layout, Records};
use super::support::{feed, no_params, path, plan};

#[test]
fn the_parsing_suite_passes_whole_and_byte_by_byte() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/suites/JSONTestSuite/test_parsing");
    let Ok(files) = std::fs::read_dir(folder) else {
        println!("skipped: {folder} is not there");
        return;
    };
    let layout = Layout { records: Records::None, keep: vec![path("$")], total: None };
    let plan = plan(Format::Json, layout, Vec::new());
    let mut seen = 0;
    for file in files {
        let file = file.expect("file");
        let name = file.file_name().into_string().expect("name");
        let input = std::fs::read(file.path()).expect("input");
        let whole = feed(&plan, &no_params(), &input, &[]);
        let all: Vec<usize> = (1..input.len()).collect();
        let pieces = feed(&plan, &no_params(), &input, &all);
        assert_eq!(whole.result.is_ok(), pieces.result.is_ok(), "{name}");
        match name.as_bytes()[0] {
            b'y' => {
                assert_eq!(whole.result, Ok(()), "{name}");
                let text = String::from_utf8(input).expect(&name);
                assert_eq!(whole.out, text.strip_prefix('\u{feff}').unwrap_or(&text), "{name}");
                assert_eq!(whole.out, pieces.out, "{name}");
            }
            b'n' => assert!(whole.result.is_err(), "{name}: {}", whole.out),
            _ => {}
        }
        seen += 1;
    }
    assert!(seen > 300, "{seen} files");
}
