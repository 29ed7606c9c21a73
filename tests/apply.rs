//! `fieldgate apply` as a program: constant memory, and charsets.

#![expect(clippy::unwrap_used, reason = "the whole file is a test")]

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

fn apply(request: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["apply", "--config", "policies/demo/fieldgate.yaml", "--as", "wu.min"]);
    command.args(["--groups", "staff,finance", "--mfa", "--request", request]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn given(request: &str, arguments: &[&str], input: &[u8]) -> (Option<i32>, String) {
    let mut child = apply(request, arguments);
    // A refusal may come before all was read.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_declared_charset_is_turned_into_utf_8() {
    let text = r#"{"data":[{"id":1,"name":"王芳","phone":"13800138000"}]}"#;
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let request = "GET /api/v1/customers";
    let plain = given(request, &[], text.as_bytes());
    assert_eq!(plain, (Some(0), r#"{"data":[{"id":1,"name":"王芳"}]}"#.to_owned()));
    assert_eq!(given(request, &["--type", "application/json; charset=utf-16le"], &utf_16), plain);
    let (status, out) = given(request, &["--type", "application/json; charset=utf-16be"], &utf_16);
    assert_eq!((status, out.as_str()), (Some(1), ""), "it lies");
    let (status, out) = given(request, &["--type", "application/json; charset=utf-7"], text.as_bytes());
    assert_eq!((status, out.as_str()), (Some(1), ""), "nobody knows it");
}

/// The same for 1 GiB, measured by hand: 15 MiB.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_answer() {
    let mut child = apply("GET /api/v1/customers", &[]);
    let mut input = child.stdin.take().unwrap();
    let mut output = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()).unwrap());
    let peak = |child: &Child| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
        line.trim_end_matches(" kB").parse().unwrap()
    };
    let record = format!(
        r#"{{"id":1,"name":"王芳","region":"east","credit_limit":1.50,"notes":"{}"}}"#,
        "13800138000 ".repeat(40)
    );
    let some: String = (0..2000).map(|_| format!("{record},")).collect();
    input.write_all(b"{\"data\":[").unwrap();
    input.write_all(some.as_bytes()).unwrap();
    let before = peak(&child);
    for _ in 0..24 {
        input.write_all(some.as_bytes()).unwrap();
    }
    let grown = peak(&child) - before;
    input.write_all(record.as_bytes()).unwrap();
    input.write_all(b"]}").unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    assert!(reader.join().unwrap() > 1 << 20);
    assert!(grown < 4 << 10, "{grown} KiB more after {} KiB", some.len() * 24 / 1024);
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
}
