use crate::policy::{Loaded, MaskKeys, Purpose};
use crate::rewrite::mask::{Masked, Scalar};

use super::*;

const POLICY: &str = r#"
labels: [public]
resources:
  customer: { fields: { public: [id, account] } }
apis:
  crm:
    routes:
      - { match: GET /customers, action: list, resource: customer, records: "$.data[*]" }
masks:
  account: { fpe: { key: mask-key } }
roles:
  fraud:
    unmask: [account]
    permissions:
      - { resource: customer, actions: [list], fields: { mask: { account: account } } }
bindings:
  - { role: fraud, groups: [fraud] }
guards:
  - { name: second, on: { actions: [unmask] }, require: principal.mfa }
"#;

const CLEAR: &str = "6222 0212-3456";

struct Scene {
    plan: Plan,
    store: Store,
    masked: String,
}

/// What came of it.
struct Came {
    shown: String,
    noted: String,
    /// What the audit was given before anything was shown.
    told: Vec<Act>,
}

impl Scene {
    async fn new() -> Self {
        let loaded = Loaded::from_texts(&[("p.yaml", POLICY)], &MaskKeys::Assumed, Purpose::Serve);
        let plan = loaded.plan.unwrap_or_else(|| panic!("{}", loaded.report.to_text(false)));
        let store = Store::memory().await.unwrap();
        let mask = plan.mask("account").unwrap();
        let Masked::Text(masked) = mask.apply(Scalar::Text(CLEAR)) else { panic!("a text") };
        Self { plan, store, masked }
    }

    fn caller(groups: &[&str], mfa: bool) -> Caller {
        Caller {
            id: "li.na".into(),
            name: None,
            groups: groups.iter().map(|group| (*group).into()).collect(),
            roles: Vec::new(),
            claims: serde_json::Map::new(),
            ip: [10, 0, 0, 7].into(),
            mfa,
        }
    }

    async fn unmask(&self, caller: &Caller, values: &[&str], recorded: Recorded) -> Came {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        // Each a second after the one before: acts stand in the order of their moments.
        let start: jiff::Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        let before = self.store.count_acts().await.unwrap_or_default();
        let now = start + std::time::Duration::from_secs(before);
        let (plan, store) = (&self.plan, &self.store);
        let asked = Asked { plan, store, now, mask: "account", caller, values: &values };
        let mut acts = Acts::new(Some("CRM-7".to_owned()));
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let mut told = Vec::new();
        let record = async |_: &Acts| {
            told =
                self.store.acts(1_000).await.unwrap().into_iter().filter_map(|waiting| waiting.act).collect();
            recorded
        };
        let done = asked.answer(&mut acts, record, &mut out, &mut notes).await;
        let noted = String::from_utf8(notes).unwrap();
        let noted = done.map_or_else(|error| error.to_string(), |code| format!("{code:?} {noted}"));
        Came { shown: String::from_utf8(out).unwrap(), noted, told }
    }
}

#[tokio::test]
async fn what_was_masked_is_shown_after_the_audit_has_it_without_the_value() {
    let scene = Scene::new().await;
    let fraud = Scene::caller(&["fraud"], true);
    let came = scene.unmask(&fraud, &[&scene.masked], Recorded::Yes).await;
    assert_eq!(came.shown, format!("{CLEAR}\n"), "{}", came.noted);
    let [act] = came.told.as_slice() else { panic!("{:?}", came.told) };
    assert_eq!((act.action.as_str(), act.target.as_str()), ("unmask", "account"));
    assert_eq!((act.facts["principal"].as_str(), act.facts["role"].as_str()), ("li.na", "fraud"));
    assert_eq!((act.facts["count"].as_str(), act.reason.as_deref()), ("1", Some("CRM-7")));
    assert_eq!(act.facts["policy_version"], **scene.plan.version());
    let text = serde_json::to_string(act).unwrap();
    for piece in [CLEAR, &scene.masked, "6222", "3456"] {
        assert!(!text.contains(piece), "{text}");
    }

    let again = scene.unmask(&fraud, &[&scene.masked, "0000 0000-0000"], Recorded::Yes).await;
    let values = &again.told[1].values;
    assert_eq!(values[0], act.values[0], "one value, one hash");
    assert_ne!(values[1], act.values[0]);
    let other = Scene::new().await;
    let other = other.unmask(&fraud, &[&scene.masked], Recorded::Yes).await;
    assert_ne!(other.told[0].values, act.values, "keyed by the store");
}

#[tokio::test]
async fn nothing_is_shown_that_the_audit_does_not_have() {
    let scene = Scene::new().await;
    let fraud = Scene::caller(&["fraud"], true);
    let came = scene.unmask(&fraud, &[&scene.masked], Recorded::NotYet("no disk".to_owned())).await;
    assert_eq!(came.shown, "");
    assert_eq!(came.noted, "nothing is shown, since it is not in the audit: no disk");
    scene.store.close().await;
    let came = scene.unmask(&fraud, &[&scene.masked], Recorded::Yes).await;
    assert!(came.shown.is_empty() && came.noted.contains("store"), "{}", came.noted);
}

#[tokio::test]
async fn whoever_has_no_right_gets_nothing_and_the_try_is_told() {
    let scene = Scene::new().await;
    for (caller, why) in [
        (Scene::caller(&[], true), "no role of the principal may have it turned back"),
        (Scene::caller(&["sales"], true), "no role of the principal may have it turned back"),
        (Scene::caller(&["fraud"], false), "guard `second` is not met"),
    ] {
        let came = scene.unmask(&caller, &[&scene.masked], Recorded::Yes).await;
        assert!(came.shown.is_empty() && came.noted.contains(why), "{}", came.noted);
        assert!(came.noted.contains(&format!("{:?}", ExitCode::from(DENIED))), "{}", came.noted);
        let act = came.told.last().unwrap();
        assert_eq!((act.action.as_str(), act.facts["denial"].as_str()), ("unmask.denied", why));
    }
}

#[tokio::test]
async fn who_is_frozen_gets_nothing_here_either() {
    let scene = Scene::new().await;
    let row = crate::store::FreezeRow {
        issuer: "https://id".into(),
        subject: "li.na".into(),
        since: 0,
        cause: "command".into(),
        reason: String::new(),
    };
    scene.store.freeze(&row, &Act::for_tests()).await.unwrap();
    let came = scene.unmask(&Scene::caller(&["fraud"], true), &[&scene.masked], Recorded::Yes).await;
    assert!(came.shown.is_empty() && came.noted.contains("the principal is frozen"), "{}", came.noted);
}

#[tokio::test]
async fn what_the_mask_cannot_have_written_is_said_with_its_place() {
    let scene = Scene::new().await;
    let fraud = Scene::caller(&["fraud"], true);
    let values = ["12-34", scene.masked.as_str(), "66b6666", ""];
    let came = scene.unmask(&fraud, &values, Recorded::Yes).await;
    assert_eq!(came.shown, format!("\n{CLEAR}\n\n\n"), "a line for each");
    for said in
        ["value 1: it has 4 characters", "value 3: `b` is not of the mask's alphabet", "value 4: it has 0"]
    {
        assert!(came.noted.contains(said), "{}", came.noted);
    }
    assert!(came.noted.contains(&format!("{:?}", ExitCode::from(FAILED))));
    assert_eq!(came.told[0].values.len(), 4, "all that was asked about is told");
}

#[tokio::test]
async fn many_values_are_told_in_records_that_hold_them_all() {
    let scene = Scene::new().await;
    let values = vec![scene.masked.as_str(); 600];
    let came = scene.unmask(&Scene::caller(&["fraud"], true), &values, Recorded::Yes).await;
    assert_eq!(came.shown.lines().count(), 600);
    let counts: Vec<usize> = came.told.iter().map(|act| act.values.len()).collect();
    assert_eq!(counts, [250, 250, 100]);
}

#[test]
fn values_are_lines_and_bounded() {
    assert_eq!(read(&b"1\r\n2\n\n3"[..]).unwrap(), ["1", "2", "", "3"]);
    assert!(read(&b""[..]).is_err());
    assert!(read(&b"\xff\n"[..]).is_err());
    assert!(read("1\n".repeat(MAX_VALUES + 1).as_bytes()).is_err());
    assert!(read(io::repeat(b'1')).is_err());
    assert!(checked(vec!["1".to_owned(); MAX_VALUES]).is_ok());
}
