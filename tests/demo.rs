//! The demo as a newcomer meets it: the program, what it prints, and the printed commands run by a shell.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "the whole file is a test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// The demo, running; ended when it is dropped.
struct Demo {
    child: Child,
    banner: Vec<String>,
}

impl Demo {
    fn start(records: u64) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
            .args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--records"])
            .arg(records.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut banner = Vec::new();
        for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
            banner.push(line.expect("text"));
            if banner.last().is_some_and(|line| line.contains("Ctrl-C")) {
                return Self { child, banner };
            }
        }
        panic!("the demo ended: {:?}", child.wait());
    }

    /// The commands it prints.
    fn commands(&self) -> Vec<&str> {
        self.banner
            .iter()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| line.starts_with("curl "))
            .collect()
    }

    /// The word after a heading of the banner.
    fn named(&self, heading: &str) -> &str {
        let line = self.banner.iter().find_map(|line| line.strip_prefix("  ")?.strip_prefix(heading));
        line.and_then(|rest| rest.split_whitespace().next()).expect(heading)
    }

    fn crm(&self) -> String {
        format!("{}/api/v1/customers", self.named("gateway"))
    }

    fn files(&self) -> PathBuf {
        PathBuf::from(self.named("files"))
    }

    /// Ends it as Ctrl-C does, and gives whether it ended well.
    fn stop(&mut self) -> bool {
        assert!(shell(&format!("kill -INT {}", self.child.id())).1.is_empty());
        self.child.wait().expect("a status").success()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(self.files());
    }
}

/// Runs a line as a user would; gives the status that curl saw, if any, and what was printed.
fn shell(line: &str) -> (u16, String) {
    let line = line.replacen("curl ", "curl -w '\\n%{http_code}' ", 1);
    let out = Command::new("sh").args(["-c", &line]).output().expect("a shell");
    let text = String::from_utf8(out.stdout).expect("text");
    match text.rsplit_once('\n') {
        Some((body, status)) => (status.parse().unwrap_or(0), body.to_owned()),
        None => (0, text),
    }
}

fn get(key: &str, url: &str) -> (u16, String) {
    shell(&format!("curl -sS -H 'X-Api-Key: {key}' '{url}'"))
}

fn data(answer: &(u16, String)) -> Value {
    assert_eq!(answer.0, 200, "{}", answer.1);
    serde_json::from_str::<Value>(&answer.1).expect("JSON")["data"].take()
}

#[test]
fn the_printed_commands_show_what_they_say() {
    let demo = Demo::start(2_000);
    let commands = demo.commands();
    let [sales, manager, finance, support, contractor, colleague, question, export, no_export] = commands[..]
    else {
        panic!("{commands:#?}");
    };
    let sales = data(&shell(sales));
    assert_eq!(sales["phone"], "13800138000");
    assert_eq!(sales["id_card"], "110***********123X");
    assert_eq!((&sales["credit_limit"], &sales["x_sync"]), (&Value::Null, &Value::Null));
    assert_eq!(sales["contacts"][0]["phone"], "15400138001");

    let manager = data(&shell(manager));
    assert_eq!((&manager["phone"], &manager["credit_limit"]), (&json!("13800138000"), &json!(250_000.5)));
    assert_eq!(manager["id_card"], "110***********123X");

    let finance = data(&shell(finance));
    assert_eq!((&finance["credit_limit"], &finance["phone"]), (&json!(250_000.5), &Value::Null));
    assert_eq!(finance["bank"]["account"], "***************4568");

    let support = data(&shell(support));
    assert_eq!((&support["phone"], &support["email"]), (&json!("138****8000"), &json!("w***@example.com")));
    assert_eq!((&support["credit_limit"], &support["notes"]), (&json!("100000-1000000"), &Value::Null));

    let open = demo.banner.iter().any(|line| line.contains("(office hours now: answered)"));
    assert_eq!(shell(contractor).0, if open { 200 } else { 403 });

    let colleague = data(&shell(colleague));
    assert_eq!(colleague["phone"].as_str().expect("a phone").matches('*').count(), 4);
    assert_eq!(shell(question).0, 403);
    let (status, text) = shell(export);
    assert_eq!((status, text.trim_end().lines().count()), (200, 2_001));
    assert_eq!(shell(no_export).0, 403);
}

#[test]
fn a_third_of_the_customers_is_shown_to_sales_in_clear() {
    let demo = Demo::start(120);
    let list = data(&get("demo-sales", &format!("{}?limit=120", demo.crm())));
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), 120);
    let clear = list.iter().filter(|c| c["phone"].as_str().is_some_and(|phone| !phone.contains('*'))).count();
    assert_eq!(clear, 40);
}

#[test]
fn the_crm_answers_only_the_gateway() {
    let demo = Demo::start(10);
    let config = fs::read_to_string(demo.files().join("fieldgate.yaml")).expect("a configuration");
    let crm = config.lines().find_map(|line| line.trim().strip_prefix("url: ")).expect("the CRM's address");
    let (status, text) = get("demo-manager", &format!("{crm}/api/v1/customers/1"));
    assert_eq!(status, 401, "{text}");
}

#[test]
fn a_large_export_takes_little_memory_and_one_record_in_a_sound_audit() {
    let mut demo = Demo::start(50_000);
    let (status, text) = get("demo-manager", &format!("{}/export?format=csv", demo.crm()));
    assert_eq!((status, text.trim_end().lines().count()), (200, 50_001));
    assert_eq!(resident_peak_kib(demo.child.id()).filter(|peak| *peak >= 64 << 10), None);

    assert!(demo.stop());
    let audit = demo.files().join("audit");
    let verified =
        Command::new(env!("CARGO_BIN_EXE_fieldgate")).args(["audit", "verify", "--dir"]).arg(&audit).output();
    assert!(verified.expect("the program").status.success());
    let lines = fs::read_dir(&audit)
        .expect("a directory")
        .filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    let exports: usize =
        lines.map(|text| text.lines().filter(|line| line.contains("/customers/export")).count()).sum();
    assert_eq!(exports, 1);
}

/// The largest memory a process has had, where the system tells.
fn resident_peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}
