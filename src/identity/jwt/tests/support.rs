//! An issuer for tests: keys, tokens with any header and claims, and a real HTTP(S) server for its documents.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A signing key with its public form.
pub(super) struct Signer {
    pub(super) id: String,
    pub(super) algorithm: Algorithm,
    key: EncodingKey,
    pub(super) public_pem: String,
    jwk: Value,
}

/// Made once: RSA keys take long.
pub(super) static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("rsa-1"));
pub(super) static OTHER_RSA: LazyLock<Signer> = LazyLock::new(|| Signer::rsa("rsa-1"));
pub(super) static EC: LazyLock<Signer> = LazyLock::new(|| Signer::ec("ec-1"));

impl Signer {
    fn new(id: &str, algorithm: Algorithm, key: EncodingKey, public_pem: String) -> Self {
        // The library cannot take the public key out of the form in which Ed25519 keys are made here.
        let jwk = if algorithm == Algorithm::EdDSA {
            let der = pem_bytes(&public_pem);
            json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&der[der.len() - 32..])})
        } else {
            serde_json::to_value(Jwk::from_encoding_key(&key, algorithm).unwrap()).unwrap()
        };
        Self { id: id.to_owned(), algorithm, key, public_pem, jwk }
    }

    fn rsa(id: &str) -> Self {
        let pair =
            rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self::new(id, Algorithm::RS256, key, pair.public_key_pem())
    }

    pub(super) fn ec(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self::new(id, Algorithm::ES256, key, pair.public_key_pem())
    }

    pub(super) fn ec384(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self::new(id, Algorithm::ES384, key, pair.public_key_pem())
    }

    pub(super) fn ed(id: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let key = EncodingKey::from_ed_der(&pair.serialize_der());
        Self::new(id, Algorithm::EdDSA, key, pair.public_key_pem())
    }

    /// The same key, for another algorithm of its kind.
    pub(super) fn signing(&self, algorithm: Algorithm) -> Self {
        let mut signer = Self {
            id: self.id.clone(),
            algorithm,
            key: self.key.clone(),
            public_pem: String::new(),
            jwk: self.jwk.clone(),
        };
        signer.jwk["alg"] = serde_json::to_value(algorithm).unwrap();
        signer
    }

    /// The public key as a JWK, with its id.
    pub(super) fn jwk(&self) -> Value {
        let mut value = self.jwk.clone();
        value["kid"] = self.id.as_str().into();
        value["use"] = "sig".into();
        value
    }

    /// The header that an honest issuer writes.
    pub(super) fn header(&self) -> Value {
        let name = serde_json::to_value(self.algorithm).unwrap();
        json!({"alg": name, "typ": "JWT", "kid": self.id})
    }

    /// A token with these claims.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header().to_string(), &claims.to_string())
    }

    /// A signature over any texts.
    pub(super) fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }
}

fn pem_bytes(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(body).unwrap()
}

pub(super) fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

pub(super) fn jwks(keys: &[&Signer]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// A server whose answers are whole HTTP messages by path, and which counts what it is asked.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: String,
    answers: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) async fn plain() -> Self {
        Self::start(None).await
    }

    /// With TLS; the second is the file of the certificate authority.
    pub(super) async fn tls(folder: &std::path::Path) -> (Self, PathBuf) {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = folder.join("ca.pem");
        std::fs::write(&file, certified.cert.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certified.cert.der().clone()],
                rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap(),
            )
            .unwrap();
        (Self::start(Some(TlsAcceptor::from(Arc::new(config)))).await, file)
    }

    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Self {
            url: format!("{scheme}://localhost:{port}"),
            answers: Arc::default(),
            asked: Arc::default(),
        };
        let this = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (this, tls) = (this.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => this.answer(socket).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(socket).await {
                                this.answer(stream).await;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let answer = self.answers.lock().unwrap().get(&path).cloned();
        self.asked.lock().unwrap().push(path);
        let answer =
            answer.unwrap_or_else(|| b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec());
        stream.write_all(&answer).await.ok();
        stream.shutdown().await.ok();
    }

    /// Answers with a JSON body.
    pub(super) fn put(&self, path: &str, body: &str) {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        self.put_raw(path, format!("{head}{body}").into_bytes());
    }

    /// Answers with these bytes.
    pub(super) fn put_raw(&self, path: &str, answer: Vec<u8>) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Publishes discovery and keys as an issuer does.
    pub(super) fn publish(&self, keys: &[&Signer]) {
        let document = json!({"issuer": self.url, "jwks_uri": format!("{}/keys", self.url)});
        self.put("/.well-known/openid-configuration", &document.to_string());
        self.put("/keys", &jwks(keys));
    }

    pub(super) fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}
