//! What administrators and limits do to principals: freezes, and masks that are turned back.

use std::sync::Arc;

use fieldgate::base::{Clock as _, SystemClock};
use fieldgate::grants::{Barred, Freezes};
use fieldgate::identity::{Assumed, Principal};
use fieldgate::limits::{self, Caller, Limits};
use fieldgate::policy::UnmaskDenial;
use fieldgate::store::Store;

use super::support::{ask, fields, one, plan, read, role, said, says};

fn principal(id: &str, groups: &[&str], mfa: bool) -> Principal {
    Principal::assumed(Assumed {
        id: id.into(),
        name: None,
        groups: groups.iter().map(|group| (*group).into()).collect(),
        roles: Vec::new(),
        claims: serde_json::Map::new(),
        ip: [10, 0, 0, 7].into(),
        mfa,
    })
}

fn limit(per: &str) -> String {
    format!(
        "{}limits: [{{ name: few, per: {per}, requests: 2/day, on_exceed: freeze }}]\n",
        role(&fields("show: [id]"))
    )
}

/// "**`on_exceed: freeze`** freezes the principal whose request or answer would go past the amount: that one is refused,
/// and so is everything it asks for, on every route, until an administrator lifts it, whether or not the window has
/// passed."
/// "It counts each principal: `per: principal` or `per: key`."
/// "On public routes, where nobody is authenticated, it refuses."
#[tokio::test]
async fn who_exceeds_is_frozen() {
    for (per, right) in [("principal", true), ("key", true), ("role", false), ("ip", false), ("all", false)] {
        assert_eq!(says(&limit(per), "freezes-others"), !right, "{per}");
        assert_eq!(read(&limit(per)).plan.is_some(), right, "{per}");
    }
    let plan = plan(&limit("principal"));
    let store = Store::memory().await.unwrap();
    let clock = Arc::new(SystemClock::new());
    let limits =
        Limits::open(limits::Config::default(), Some(store.clone()), clock.clone(), |_| ()).await.unwrap();
    let freezes = Freezes::open(store.clone(), clock.clone()).await.unwrap();
    let who = principal("u1", &["g"], false);
    let request = http::Request::get("/list").body(()).unwrap().into_parts().0;
    let permit = || {
        let operation = plan.operation(&request, None).unwrap();
        plan.decide(&who, operation, clock.now()).unwrap()
    };
    for _ in 0..2 {
        limits.admit(&Caller::of(&who), &permit()).await.unwrap();
        freezes.admit(&who).await.unwrap();
    }
    let exceeded = limits.admit(&Caller::of(&who), &permit()).await.err().unwrap();
    assert!(exceeded.freezes);
    freezes.freeze(&who, exceeded).await.unwrap();
    assert_eq!(freezes.admit(&who).await, Err(Barred::Frozen));
    freezes.admit(&principal("u2", &["g"], false)).await.unwrap();
    assert_eq!(store.freezes().await.unwrap()[0].subject, "u1", "until somebody lifts it");

    // Public routes: the limit is narrowed to nothing, so it holds there, and counts an address.
    let open = http::Request::get("/health").body(()).unwrap().into_parts().0;
    let anonymous = Caller::anonymous([10, 9, 9, 9].into());
    let permit = || plan.pass(plan.operation(&open, None).unwrap(), clock.now()).unwrap();
    for _ in 0..2 {
        limits.admit(&anonymous, &permit()).await.unwrap();
    }
    assert!(limits.admit(&anonymous, &permit()).await.is_err(), "refused");
    assert_eq!(store.freezes().await.unwrap().len(), 1, "and nobody is frozen");
}

const MASKS: &str = "masks:\n  account: { fpe: { key: k } }\n";

fn unmasking(rest: &str) -> String {
    format!(
        "{MASKS}roles:\n  desk: {{ unmask: [account] }}\n  fraud:\n    inherits: [desk]\n    permissions: [{}]\nbindings:\n  - {{ role: fraud, groups: [g], expires: 2026-12-31 }}\n{rest}",
        fields("mask: { card: account }")
    )
}

/// "**`unmask`** on a role names `fpe` masks whose values its holders may have turned back by `fieldgate unmask`; it
/// changes no answer."
/// "Inheritance adds the parent's, bindings decide who holds it and when, and guards on the action `unmask` must hold."
/// "Naming a mask that cannot be turned back is a `check` error."
#[test]
fn a_right_turns_masks_back() {
    let now = "2026-11-20T09:00:00Z".parse().unwrap();
    let holder = principal("u1", &["g"], false);
    let policy = plan(&unmasking(""));
    let leave = policy.unmask(&holder, "account", now).unwrap();
    assert_eq!(&**leave.by(), "desk");
    let shown = one(&policy, r#"{"card":"62220212345678"}"#);
    let without = plan(&unmasking("").replace("  desk: { unmask: [account] }", "  desk: {}"));
    assert_eq!(shown, one(&without, r#"{"card":"62220212345678"}"#), "no answer is another one");
    let masked = shown.split('"').nth(3).unwrap();
    assert_eq!(leave.turn_back(masked).as_deref(), Ok("62220212345678"));

    assert_eq!(without.unmask(&holder, "account", now).unwrap_err(), UnmaskDenial::NoRight);
    let other = principal("u1", &[], false);
    assert_eq!(policy.unmask(&other, "account", now).unwrap_err(), UnmaskDenial::NoRight);
    let later = "2027-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(policy.unmask(&holder, "account", later).unwrap_err(), UnmaskDenial::NoRight);
    let guarded =
        plan(&unmasking("guards:\n  - { name: m, on: { actions: [unmask] }, require: principal.mfa }\n"));
    assert_eq!(guarded.unmask(&holder, "account", now).unwrap_err(), UnmaskDenial::Guard("m".into()));
    assert!(guarded.unmask(&principal("u1", &["g"], true), "account", now).is_ok());
    assert_eq!(ask(&guarded, "GET /list").by("u1").groups(&["g"]).verdict(), "ok", "not a guard on requests");

    for (mask, code) in [("stars", "not-reversible"), ("nope", "unknown-mask"), ("one", "not-reversible")] {
        let text = unmasking("").replace("unmask: [account]", &format!("unmask: [{mask}]"));
        assert!(said(&text).iter().any(|line| line.starts_with(code)), "{mask}: {:?}", said(&text));
        assert!(read(&text).plan.is_none());
    }
    let never = |rest: &str| {
        let text = format!("invariants: [{{ name: i, never: {{ unmask: [account]{rest} }} }}]\n");
        says(&unmasking(&text), "invariant-broken")
    };
    assert!(never("") && never(", roles: [fraud]"));
    assert!(!never(", except_roles: [desk, fraud]"));
}
