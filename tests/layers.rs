//! The law of the house: a module imports only modules listed above it in `src/lib.rs`. Tests keep it too.

#[cfg(test)]
mod layers {
    use std::fs;
    use std::path::Path;

    use regex::{Captures, Regex};

    #[test]
    fn modules_import_only_modules_listed_above_them() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let lib = code(&fs::read_to_string(src.join("lib.rs")).unwrap());
        let order: Vec<String> = Regex::new(r"\bmod (\w+);")
            .unwrap()
            .captures_iter(&lib)
            .map(|found| found[1].to_owned())
            .collect();
        assert!(order.len() > 10, "src/lib.rs lists the modules");

        let mut offences = Vec::new();
        for (rank, module) in order.iter().enumerate() {
            for (depth, file) in files(&src.join(module), 1) {
                for import in imports(&code(&fs::read_to_string(&file).unwrap()), depth) {
                    if order.iter().position(|name| *name == import).is_some_and(|imported| imported > rank) {
                        offences.push(format!("`{module}` imports `{import}` ({})", file.display()));
                    }
                }
            }
        }
        assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
    }

    /// The fuzz targets compile the source of `base` and `rewrite` into a crate of their own, which CI does not build.
    #[test]
    fn the_fuzz_crate_has_every_crate_that_the_engine_uses() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let ours = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let theirs = fs::read_to_string(root.join("tests/fuzz/Cargo.toml")).unwrap();
        let ours = ours.split("[dependencies]").nth(1).unwrap().split("[dev-dependencies]").next().unwrap();
        let engine: String = ["base", "rewrite"]
            .iter()
            .flat_map(|module| files(&root.join("src").join(module), 1))
            .filter(|(_, file)| !file.ends_with("tests.rs"))
            .map(|(_, file)| code(&fs::read_to_string(file).unwrap()))
            .collect();
        let dependency = Regex::new(r"(?m)^([\w-]+) = ").unwrap();
        for name in dependency.captures_iter(ours).map(|found| found.get(1).unwrap().as_str()) {
            let used = Regex::new(&format!(r"\b{}::", name.replace('-', "_"))).unwrap().is_match(&engine);
            assert!(
                !used || theirs.contains(&format!("\n{name} = ")),
                "tests/fuzz/Cargo.toml lacks `{name}`"
            );
        }
    }

    #[test]
    fn imports_are_found_wherever_they_are_written() {
        let text = r##"use crate::{a::{x, y}, b, c::*}; fn f<'k>() { crate::d::g('"', "crate::no", r#"crate::no"#) }
        // crate::no
        /* crate::no */ use super::super::e; use super::inner; pub(crate) struct S;"##;
        assert_eq!(imports(&code(text), 2), ["a", "b", "c", "d", "e"]);
    }

    /// Every Rust file below `dir`, with the number of `super` that lead from it to the crate's root.
    fn files(dir: &Path, depth: usize) -> Vec<(usize, std::path::PathBuf)> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let found = entries.flat_map(|path| match path.file_name().and_then(|name| name.to_str()) {
            Some("mod.rs") => vec![(depth, path)],
            Some(name) if name.ends_with(".rs") => vec![(depth + 1, path)],
            _ if path.is_dir() => files(&path, depth + 1),
            _ => Vec::new(),
        });
        found.collect()
    }

    /// `text` without comments, texts and characters.
    fn code(text: &str) -> String {
        let skipped = Regex::new(
            r##"(?s)//[^\n]*|/\*.*?\*/|r#+".*?"#+|r"[^"]*"|"(?:\\.|[^"\\])*"|'(?:\\u\{\w+\}|\\.|[^'\\])'"##,
        );
        skipped.unwrap().replace_all(text, " ").into_owned()
    }

    /// The top-level modules that `code` names: `crate::a`, `crate::{a, b::c}` and `super`s that reach the root.
    fn imports(code: &str, depth: usize) -> Vec<String> {
        // Innermost groups go first, until what stands directly in `crate::{…}` is left.
        let group = Regex::new(r"::\s*\{[^{}]*\}").unwrap();
        let root =
            Regex::new(&format!(r"\b(?:crate|(?:super\s*::\s*){{{}}}super)\s*::\s*(\w+|\{{)", depth - 1))
                .unwrap();
        let item = Regex::new(r"(?:^|,)\s*(\w+)").unwrap();
        let mut names = Vec::new();
        for found in root.captures_iter(code) {
            if &found[1] != "{" {
                names.push(found[1].to_owned());
                continue;
            }
            let mut inside = code.split_at(found.get(0).unwrap().end()).1.to_owned();
            let open = |inside: &str, at: usize| !inside.split_at(at).0.contains('}');
            while let Some(inner) = group.find(&inside).filter(|inner| open(&inside, inner.start())) {
                inside.replace_range(inner.range(), "");
            }
            let first = |item: Captures| item[1].to_owned();
            let items = inside.split('}').next().unwrap_or_default();
            names.extend(item.captures_iter(items).map(first));
        }
        names
    }
}
