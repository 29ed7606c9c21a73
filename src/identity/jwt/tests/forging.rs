//! Tokens that somebody else made, or made over.

#![expect(clippy::string_slice, reason = "a test may panic, and these texts are ASCII")]

use serde_json::json;

use super::{EC, NOW, OTHER_RSA, RSA, b64, claims, fault, issuer, judged, refusal, tokens, with};
use crate::identity::jwt::tests::support::Server;
use crate::identity::unauthenticated::{TokenFault, Unauthenticated};

async fn header_fault(header: &str) -> Option<TokenFault> {
    match judged(&RSA.sign(header, &claims().to_string())).await {
        Ok(_) => None,
        Err(Unauthenticated::Token(fault)) => Some(fault),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn i01_alg_none_is_refused_in_every_spelling() {
    for alg in ["none", "None", "NONE", "nOnE", "", "null", "RS256 ", "rs256", "HS256", "ES256K", "RSA-OAEP"]
    {
        let header = json!({"alg": alg, "typ": "JWT", "kid": "rsa-1"}).to_string();
        assert_eq!(header_fault(&header).await, Some(TokenFault::Algorithm), "{alg}");
        let unsigned = format!("{}.{}.", b64(&header), b64(claims().to_string()));
        assert_eq!(refusal(&unsigned).await, TokenFault::Encoding.into());
        let junk = format!("{unsigned}AA");
        assert_eq!(refusal(&junk).await, TokenFault::Algorithm.into());
    }
    for alg in [json!(null), json!(["RS256"]), json!(1), json!({"alg": "RS256"})] {
        let header = json!({"alg": alg, "kid": "rsa-1"}).to_string();
        assert_eq!(header_fault(&header).await, Some(TokenFault::Algorithm), "{alg}");
    }
    assert_eq!(header_fault(r#"{"typ":"JWT","kid":"rsa-1"}"#).await, Some(TokenFault::Algorithm));
}

#[tokio::test]
async fn i02_the_public_key_is_no_shared_secret() {
    let secrets = [
        RSA.public_pem.clone().into_bytes(),
        RSA.public_pem.trim().as_bytes().to_vec(),
        RSA.jwk().to_string().into_bytes(),
        RSA.jwk()["n"].as_str().unwrap().as_bytes().to_vec(),
        Vec::new(),
    ];
    for (name, alg) in [
        ("HS256", jsonwebtoken::Algorithm::HS256),
        ("HS384", jsonwebtoken::Algorithm::HS384),
        ("HS512", jsonwebtoken::Algorithm::HS512),
    ] {
        for secret in &secrets {
            let header = json!({"alg": name, "typ": "JWT", "kid": "rsa-1"}).to_string();
            let message = format!("{}.{}", b64(header), b64(claims().to_string()));
            let key = jsonwebtoken::EncodingKey::from_secret(secret);
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, alg).unwrap();
            assert_eq!(refusal(&format!("{message}.{signature}")).await, TokenFault::Algorithm.into());
        }
    }
}

#[tokio::test]
async fn i02_a_key_of_another_kind_is_not_tried() {
    for (alg, kid) in [("ES256", "rsa-1"), ("RS256", "ec-1")] {
        let header = json!({"alg": alg, "kid": kid}).to_string();
        assert_eq!(header_fault(&header).await, Some(TokenFault::Key), "{alg} {kid}");
    }
}

#[tokio::test]
async fn i03_a_key_id_is_a_name_and_nothing_else() {
    for kid in [
        "../../etc/passwd",
        "/dev/null",
        "rsa-1' OR '1'='1",
        "rsa-1\u{0}",
        "rsa-1 ",
        "RSA-1",
        "http://127.0.0.1/key",
        "rsa-2",
    ] {
        let header = json!({"alg": "RS256", "kid": kid}).to_string();
        assert_eq!(header_fault(&header).await, Some(TokenFault::Key), "{kid:?}");
    }
    for kid in [json!(1), json!(null), json!(["rsa-1"]), json!({"a": 1}), json!(""), json!("x".repeat(257))] {
        let header = json!({"alg": "RS256", "kid": kid}).to_string();
        assert_eq!(header_fault(&header).await, Some(TokenFault::Header("kid")), "{kid}");
    }
    assert_eq!(header_fault(r#"{"alg":"RS256"}"#).await, None, "one key fits, so it needs no name");
}

#[tokio::test]
async fn i04_a_key_that_a_token_brings_is_never_used_or_fetched() {
    let canary = Server::plain().await;
    canary.put("/keys", &super::jwks(&[&OTHER_RSA]));
    let url = format!("{}/keys", canary.url);
    for (member, value) in [
        ("jwk", OTHER_RSA.jwk()),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!([b64("certificate")])),
    ] {
        for signer in [&*OTHER_RSA, &*RSA] {
            let mut header = signer.header();
            header[member] = value.clone();
            let token = signer.sign(&header.to_string(), &claims().to_string());
            assert_eq!(refusal(&token).await, TokenFault::Header(member).into());
        }
    }
    assert_eq!(canary.asked("/keys"), 0);
    // A thumbprint names a certificate and brings nothing: some issuers always write it.
    let mut header = RSA.header();
    header["x5t"] = json!("abc");
    assert_eq!(header_fault(&header.to_string()).await, None);
}

#[tokio::test]
async fn i05_members_that_change_the_reading_are_refused() {
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("epk", json!({})),
        ("p2c", json!(1_000_000_000)),
        ("cty", json!("JWT")),
    ] {
        let mut header = RSA.header();
        header[member] = value;
        assert_eq!(header_fault(&header.to_string()).await, Some(TokenFault::Header(member)));
    }
    for typ in [json!("logout+jwt"), json!("dpop+jwt"), json!("JWE"), json!(""), json!(1), json!(null)] {
        let mut header = RSA.header();
        header["typ"] = typ.clone();
        assert_eq!(header_fault(&header.to_string()).await, Some(TokenFault::Header("typ")), "{typ}");
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "jwt"] {
        let mut header = RSA.header();
        header["typ"] = json!(typ);
        assert_eq!(header_fault(&header.to_string()).await, None, "{typ}");
    }
    // Five parts: an encrypted token.
    for text in ["a.b.c.d.e", "a.b.c.d", "a.b", "..", ".", "a..c", "....", "a.b.c."] {
        assert_eq!(refusal(text).await, TokenFault::Encoding.into(), "{text}");
    }
}

#[tokio::test]
async fn i06_json_that_two_readers_read_differently_is_refused() {
    let admin = with(json!({"sub": "admin"})).to_string();
    for payload in [
        admin.replacen('{', r#"{"sub":"u7","#, 1),
        admin.replacen('{', r#"{"\u0073ub":"u7","#, 1),
        format!("{admin}{admin}"),
        format!("{admin}\0"),
        format!("\u{feff}{admin}"),
        format!("[{admin}]"),
        "null".to_owned(),
        "\"text\"".to_owned(),
        String::new(),
        admin.replace("300", "300,"),
        admin.replace('"', "'"),
    ] {
        let got = refusal(&RSA.sign(&RSA.header().to_string(), &payload)).await;
        assert_eq!(got, TokenFault::Json.into(), "{payload}");
    }
    let header = RSA.header().to_string().replacen('{', r#"{"alg":"none","#, 1);
    assert_eq!(header_fault(&header).await, Some(TokenFault::Json));
}

#[tokio::test]
async fn i07_base64_has_one_spelling() {
    let token = EC.token(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts[2].len(), 86, "64 bytes leave four unused bits, which must be zero");
    let last = token.chars().last().unwrap();
    let spare = char::from(u8::try_from(last).unwrap() + 1);
    let mut variants = vec![
        format!("{token}="),
        format!("{token}=="),
        format!("{}={}", parts[0], &token[parts[0].len()..]),
        token.replacen('.', "=.", 1),
        format!(" {token}"),
        format!("{token}\n"),
        token.replace(parts[1], &format!("{}\u{0}", parts[1])),
        token.replace(parts[2], &format!("{} {}", &parts[2][..9], &parts[2][9..])),
        format!("{}{spare}", &token[..token.len() - 1]),
    ];
    if token.contains(['-', '_']) {
        variants.push(token.replace('-', "+").replace('_', "/"));
    }
    for variant in variants {
        assert_eq!(refusal(&variant).await, TokenFault::Encoding.into(), "{variant}");
    }
    assert!(judged(&token).await.is_ok());
}

#[tokio::test]
async fn i12_empty_and_zero_signatures_are_wrong() {
    for signer in [&*RSA, &*EC] {
        let token = signer.token(&claims());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(refusal(&format!("{signed}.")).await, TokenFault::Encoding.into());
        for bytes in [vec![0; 64], vec![0; 256], vec![0xff; 64], vec![1], vec![0; 1000]] {
            let forged = format!("{signed}.{}", b64(bytes));
            assert_eq!(refusal(&forged).await, TokenFault::Signature.into());
        }
        let cut = &signature[..signature.len() / 4 * 4 - 4];
        assert_eq!(refusal(&format!("{signed}.{cut}")).await, TokenFault::Signature.into());
    }
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_noticed() {
    let token = EC.token(&with(json!({"name": "x"})));
    for (at, byte) in token.bytes().enumerate() {
        if byte == b'.' {
            continue;
        }
        let mut changed = token.clone().into_bytes();
        changed[at] = if byte == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(judged(&changed).await.is_err(), "byte {at}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_done_to_a_token_opens_nothing(
        cuts in proptest::collection::vec((0_usize..400, 0_usize..6, "[A-Za-z0-9._=\\-\u{0}-\u{7f}]{0,6}"), 1..4),
    ) {
        let token = EC.token(&claims());
        let mut changed = token.clone();
        for (at, length, text) in cuts {
            let at = at.min(changed.len());
            let end = (at + length).min(changed.len());
            changed.replace_range(at..end, &text);
        }
        proptest::prop_assume!(changed != token);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        proptest::prop_assert!(runtime.block_on(judged(&changed)).is_err());
    }

    #[test]
    fn no_text_is_a_token(text in "\\PC{0,200}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        proptest::prop_assert!(runtime.block_on(judged(&text)).is_err());
    }
}

#[tokio::test]
async fn claims_of_one_token_do_not_go_with_the_signature_of_another() {
    let (a, b) = (RSA.token(&claims()), RSA.token(&with(json!({"sub": "admin"}))));
    let (_, signature) = a.rsplit_once('.').unwrap();
    let (signed, _) = b.rsplit_once('.').unwrap();
    assert_eq!(refusal(&format!("{signed}.{signature}")).await, TokenFault::Signature.into());
}

#[tokio::test]
async fn i20_nothing_in_a_token_gives_a_role_directly() {
    let claims = with(json!({"roles": ["hr"], "role": "hr", "principal": {"roles": ["hr"]}, "mfa": true}));
    let subject = tokens(vec![issuer()]).authenticate(&RSA.token(&claims), None).await.unwrap();
    assert!(subject.roles.is_empty() && subject.groups.is_empty() && !subject.mfa);
    assert_eq!(fault(&with(json!({"exp": NOW - 600, "sub": "admin"}))).await, TokenFault::Expired);
}
