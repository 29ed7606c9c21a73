use jiff::Timestamp;

use super::*;
use crate::base::ManualClock;
use crate::identity::config::{KeyOwner, PasswordUser, Throttle as Bounds};

/// OWASP's cheapest, made once: `correct horse`.
static HASH: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| hash_password(&Secret::new("correct horse".to_owned())).unwrap());

fn user(login: &str, networks: &[&str]) -> PasswordUser {
    let networks = networks.iter().map(|net| net.parse().unwrap()).collect();
    PasswordUser {
        login: login.into(),
        hash: Secret::new(HASH.clone()),
        owner: KeyOwner { principal: format!("p-{login}"), networks, ..KeyOwner::default() },
    }
}

fn config(users: Vec<PasswordUser>) -> Config {
    let throttle = Bounds { failures: 2, window: Duration::from_secs(60) };
    Config { users, throttle, remember: Duration::from_secs(30), parallel: 1 }
}

fn passwords(users: Vec<PasswordUser>) -> (Passwords, ManualClock) {
    let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
    (Passwords::new(&config(users), Arc::new(clock.clone())).unwrap_or_else(|f| panic!("{f:?}")), clock)
}

fn login(name: &str, password: &str) -> Login {
    Login::parse(&STANDARD.encode(format!("{name}:{password}"))).unwrap()
}

async fn judged(passwords: &Passwords, name: &str, password: &str) -> Result<String, Unauthenticated> {
    let ip = "192.0.2.7".parse().unwrap();
    passwords.authenticate(login(name, password), ip).await.map(|subject| subject.id.to_string())
}

#[tokio::test]
async fn the_right_password_is_somebody_and_every_other_one_nobody() {
    let (passwords, _) = passwords(vec![user("li.na", &[]), user("office", &["10.0.0.0/8"])]);
    assert_eq!(judged(&passwords, "li.na", "correct horse").await.unwrap(), "p-li.na");
    assert_eq!(judged(&passwords, "li.na", "wrong").await, Err(Unauthenticated::Password));
    assert_eq!(judged(&passwords, "nobody", "correct horse").await, Err(Unauthenticated::Password));
    let elsewhere = judged(&passwords, "office", "correct horse").await;
    assert_eq!(elsewhere, Err(Unauthenticated::Network("office".to_owned())));
}

#[tokio::test]
async fn guessing_is_stopped_and_the_owner_is_not_locked_out() {
    let (passwords, clock) = passwords(vec![user("li.na", &[])]);
    judged(&passwords, "li.na", "correct horse").await.unwrap();
    for _ in 0..2 {
        assert_eq!(judged(&passwords, "li.na", "wrong").await, Err(Unauthenticated::Password));
    }
    assert!(matches!(judged(&passwords, "li.na", "wrong").await, Err(Unauthenticated::Throttled(_))));
    assert!(judged(&passwords, "li.na", "correct horse").await.is_ok(), "a password just found right");
    clock.advance(Duration::from_secs(31));
    assert!(matches!(judged(&passwords, "li.na", "correct horse").await, Err(Unauthenticated::Throttled(_))));
    clock.advance(Duration::from_secs(30));
    assert!(judged(&passwords, "li.na", "correct horse").await.is_ok());
}

#[tokio::test]
async fn an_unknown_login_costs_a_hash_and_counts_like_a_known_one() {
    let (passwords, _) = passwords(vec![user("li.na", &[])]);
    assert_eq!(passwords.nobody.cost(), passwords.users["li.na"].hash.cost());
    for name in ["li.na", "nobody"] {
        for _ in 0..2 {
            assert_eq!(judged(&passwords, name, "wrong").await, Err(Unauthenticated::Password));
        }
        assert!(
            matches!(judged(&passwords, name, "wrong").await, Err(Unauthenticated::Throttled(_))),
            "{name}"
        );
    }
}

#[tokio::test]
async fn no_more_passwords_than_the_bound_wait_and_none_of_them_is_held_against_anybody() {
    let (passwords, _) = passwords(vec![user("li.na", &[])]);
    let passwords = Arc::new(passwords);
    let turn = Arc::clone(&passwords.computing).acquire_owned().await.unwrap();
    let waiting: Vec<_> = (0..MAX_WAITING)
        .map(|n| {
            let passwords = Arc::clone(&passwords);
            tokio::spawn(async move {
                let ip = std::net::IpAddr::from([10, 0, 1, u8::try_from(n).unwrap()]);
                passwords.authenticate(login(&format!("u{n}"), "x"), ip).await.map(drop)
            })
        })
        .collect();
    while passwords.waiting.load(Ordering::Relaxed) < MAX_WAITING {
        tokio::task::yield_now().await;
    }
    for _ in 0..5 {
        assert!(judged(&passwords, "li.na", "correct horse").await.unwrap_err().is_unavailable());
    }
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    for task in waiting {
        assert!(task.await.is_err());
    }
    drop(turn);
    assert_eq!(passwords.waiting.load(Ordering::Relaxed), 0);
    assert!(judged(&passwords, "li.na", "correct horse").await.is_ok());
}

#[test]
fn i16_only_the_grammar_of_rfc_7617_is_a_login() {
    let encode = |text: &[u8]| STANDARD.encode(text);
    assert!(Login::parse(&encode("li.na:pass:with:colons, 电池".as_bytes())).is_some());
    assert!(Login::parse(&encode(b"li.na:")).is_some(), "an empty password is a wrong one");
    for bad in [
        encode(b"li.na"),
        encode(b":password"),
        encode(b"li.na:a\nb"),
        encode(b"li\0na:a"),
        encode(b"li.na:\xff"),
        encode("a".repeat(MAX_LOGIN + 1).as_bytes()) + "Og==",
        encode(format!("a:{}", "b".repeat(MAX_PASSWORD + 1)).as_bytes()),
        "bGkubmE6eA=".to_owned(),
        "bGkubmE6eA".to_owned(),
        String::new(),
    ] {
        assert!(Login::parse(&bad).is_none(), "{bad}");
    }
}

#[test]
fn faults_of_users_are_all_named() {
    let weak = PasswordUser { hash: Secret::new("secret".to_owned()), ..user("weak", &[]) };
    let anonymous = PasswordUser { owner: KeyOwner::default(), ..user("a", &[]) };
    let users = vec![user("x", &[]), user("x", &[]), weak, anonymous, user("a:b", &[])];
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let faults = Passwords::new(&config(users), clock.clone()).err().unwrap();
    let places: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(places, ["basic[1].login", "basic[2].password", "basic[3].principal", "basic[4].login"]);
    assert!(Passwords::new(&config(Vec::new()), clock).is_err());
}
