//! What the demo says when it is ready: five commands that show the same customer through different eyes.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Weekday;

use super::crm::SHOWN_ID;

/// The text; printed with `{}`.
pub(super) struct Banner<'d> {
    pub(super) listen: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) records: u64,
    pub(super) dir: &'d Path,
    pub(super) now: Timestamp,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listen, admin, records, dir, now } = self;
        let crm = format!("http://{listen}/api/v1/customers");
        writeln!(f, "Fieldgate stands in front of a sample CRM with {records} customers.\n")?;
        writeln!(f, "  gateway  http://{listen}   (the CRM is reachable only through it)")?;
        writeln!(f, "  admin    http://{admin}   (/metrics /ready /healthz)")?;
        writeln!(
            f,
            "  files    {}   (policy, configuration; change them and they are in force)",
            dir.display()
        )?;
        writeln!(f, "  audit    fieldgate audit verify --dir {}", dir.join("audit").display())?;
        writeln!(f, "\nThe same customer through five pairs of eyes:\n")?;
        for (key, sees) in EYES {
            writeln!(f, "  # {sees}{}", if key == "demo-contractor" { hours_note(*now) } else { "" })?;
            writeln!(f, "  curl -sS -H 'X-Api-Key: {key}' {crm}/{SHOWN_ID}\n")?;
        }
        writeln!(f, "More:\n")?;
        for (key, query, what) in MORE {
            writeln!(f, "  # {what}\n  curl -sS -H 'Authorization: Bearer {key}' '{crm}{query}'\n")?;
        }
        write!(f, "docs/demo.md goes on from here. Ctrl-C ends the demo.")
    }
}

/// Whether the contractor's hours are now: as the binding in `policies/demo/roles.yaml` has them.
fn hours_note(now: Timestamp) -> &'static str {
    let Ok(there) = now.in_tz("Asia/Shanghai") else { return "" };
    let workday = !matches!(there.weekday(), Weekday::Saturday | Weekday::Sunday);
    if workday && (9..18).contains(&there.hour()) {
        " (office hours now: answered)"
    } else {
        " (closed now: 403)"
    }
}

/// Key, and what it sees of the customer.
const EYES: [(&str, &str); 5] = [
    ("demo-sales", "sales, whose customer it is: phone in clear, ID number masked, no credit limit"),
    ("demo-manager", "the manager: phone and credit limit, ID number masked"),
    ("demo-finance", "finance: credit limit and contract amounts, no phone; the bank account's last digits"),
    ("demo-support", "support: masked phone and e-mail, the credit limit as a band"),
    ("demo-contractor", "a contractor: five fields, Mon-Fri 09:00-18:00 in Shanghai"),
];

/// Key, what comes behind the customers' address, and what it shows.
const MORE: [(&str, &str, &str); 4] = [
    ("demo-sales", "/43", "a colleague's customer: the phone is masked"),
    (
        "demo-support",
        "?phone=13800138000",
        "refused: the answer would confirm a number that support may not see",
    ),
    ("demo-manager", "/export?format=csv", "an export, streamed; at most 1,000,000 records a day"),
    ("demo-sales", "/export?format=csv", "refused: sales does not export"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(now: &str) -> String {
        Banner {
            listen: "127.0.0.1:8080".parse().expect("an address"),
            admin: "127.0.0.1:9090".parse().expect("an address"),
            records: 2000,
            dir: Path::new("/tmp/demo"),
            now: now.parse().expect("a time"),
        }
        .to_string()
    }

    #[test]
    fn it_shows_the_same_customer_with_every_key() {
        let text = banner("2026-11-23T02:00:00Z");
        for key in ["sales", "manager", "finance", "support", "contractor"] {
            let command =
                format!("curl -sS -H 'X-Api-Key: demo-{key}' http://127.0.0.1:8080/api/v1/customers/42\n");
            assert!(text.contains(&command), "{text}");
        }
    }

    #[test]
    fn it_says_whether_the_contractor_is_let_in_now() {
        assert!(banner("2026-11-23T02:00:00Z").contains("(office hours now: answered)"));
        assert!(banner("2026-11-23T10:00:00Z").contains("(closed now: 403)"));
        assert!(banner("2026-11-22T02:00:00Z").contains("(closed now: 403)"));
    }
}
