//! Several hosts: which one is asked, what is asked again, and who is left alone.

use crate::base::ManualClock;
use crate::upstream::config::{Breaker, ClientCertificate, HealthCheck, Retries};

use super::*;

struct Asked {
    upstream: Arc<Upstream>,
    clock: ManualClock,
    metrics: Arc<Metrics>,
}

fn asked(hosts: &[&str], change: impl FnOnce(&mut UpstreamConfig)) -> Asked {
    let (clock, metrics) =
        (ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()), Arc::new(Metrics::new()));
    let mut config = UpstreamConfig {
        bases: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        retries: Retries { attempts: 1, budget_percent: 20 },
        breaker: Breaker { failures: 3, open: Duration::from_secs(10) },
        max_connections: 100,
        ..config("http://unused")
    };
    change(&mut config);
    let upstream = Upstream::new(&config, Arc::new(clock.clone()), Arc::clone(&metrics)).unwrap();
    Asked { upstream: Arc::new(upstream), clock, metrics }
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn status(asked: &Asked, method: &str) -> Result<u16, UpstreamError> {
    let answer = asked.upstream.exchange(request(method, "/a"), Outgoing::Empty, None).await?;
    let status = answer.status().as_u16();
    read(answer).await?;
    Ok(status)
}

#[tokio::test]
async fn hosts_share_the_load_and_the_least_busy_is_asked() {
    let gate = Gate::closed();
    let slow = Scripted::start({
        let gate = gate.clone();
        move |_| {
            vec![Act::Wait(gate.clone()), Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())]
        }
    })
    .await;
    let quick = Scripted::start(|_| json("{}")).await;
    let asked = asked(&[&slow.url(), &quick.url()], |_| {});
    let waiting = tokio::spawn({
        let upstream = Arc::clone(&asked.upstream);
        async move { get_all(&upstream).await }
    });
    slow.arrival().await;
    for _ in 0..10 {
        assert_eq!(status(&asked, "GET").await.unwrap(), 200);
    }
    assert_eq!((slow.received().len(), quick.received().len()), (1, 10));
    gate.open();
    waiting.await.unwrap().unwrap();
    (0..20).for_each(|_| gate.open());
    for _ in 0..10 {
        status(&asked, "GET").await.unwrap();
    }
    assert_eq!((slow.received().len(), quick.received().len()), (6, 15), "in turn where all are idle");
}

#[tokio::test]
async fn a_host_that_is_not_there_costs_nobody_an_answer_and_is_soon_left_alone() {
    let crm = Scripted::start(|_| json("{}")).await;
    let asked = asked(&[&nobody(), &crm.url()], |_| {});
    for method in ["GET", "POST", "PATCH", "GET", "GET", "GET", "GET", "GET"] {
        assert_eq!(
            status(&asked, method).await.unwrap(),
            200,
            "nothing was sent, so every method may go elsewhere"
        );
    }
    assert_eq!(crm.received().len(), 8);
    assert_eq!(asked.upstream.load().well, 1);
    let metrics = asked.metrics.encode();
    assert!(
        metrics.contains("fieldgate_upstream_retries_total{api=\"other\",reason=\"connect\"} 3"),
        "{metrics}"
    );
    assert!(metrics.contains("fieldgate_upstream_breaker_openings_total{api=\"other\"} 1"));
    asked.clock.advance(Duration::from_secs(10));
    assert_eq!(asked.upstream.load().well, 2, "it is tried again");
    for _ in 0..4 {
        assert_eq!(status(&asked, "GET").await.unwrap(), 200);
    }
    asked.clock.advance(Duration::from_secs(19));
    assert_eq!(asked.upstream.load().well, 1, "and left alone twice as long");
}

#[tokio::test]
async fn only_what_cannot_do_anything_twice_is_sent_twice() {
    let breaking = |answers: usize| {
        let count = std::sync::atomic::AtomicUsize::new(0);
        Scripted::start(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            number if number < answers => vec![Act::Close],
            _ => json("{}"),
        })
    };
    for (method, times, good) in
        [("GET", 2, true), ("PUT", 2, true), ("DELETE", 2, true), ("POST", 1, false), ("PATCH", 1, false)]
    {
        let crm = breaking(1).await;
        let asked = asked(&[&crm.url()], |_| {});
        assert_eq!(status(&asked, method).await.is_ok(), good, "{method}");
        assert_eq!(crm.received().len(), times, "{method}");
    }
    let crm = breaking(9).await;
    assert!(status(&asked(&[&crm.url()], |_| {}), "GET").await.is_err());
    assert_eq!(crm.received().len(), 2, "as often as is configured");
    // A body that passes as it comes is gone.
    let crm = breaking(1).await;
    let body = StreamBody::new(futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"abc")))]));
    let body = Outgoing::Passing(body.map_err(|error: std::io::Error| error.into()).boxed_unsync());
    let refused = asked(&[&crm.url()], |_| {}).upstream.exchange(request("PUT", "/"), body, None).await;
    assert!(refused.is_err() && crm.received().len() == 1);
}

#[tokio::test]
async fn retries_are_a_share_of_all_requests() {
    let crm = Scripted::start(|_| vec![Act::Close]).await;
    let asked = asked(&[&crm.url()], |config| config.breaker.failures = u32::MAX);
    for _ in 0..40 {
        assert!(status(&asked, "GET").await.is_err());
    }
    let again = crm.received().len() - 40;
    assert!((10..=18).contains(&again), "ten were saved up and a fifth is earned: {again}");
}

#[tokio::test]
async fn where_no_host_is_well_requests_are_refused_at_once_until_one_succeeds() {
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let crm = Scripted::start({
        let broken = Arc::clone(&broken);
        move |_| match broken.load(std::sync::atomic::Ordering::SeqCst) {
            true => answer("503 Busy", &[], b"", Framing::Length),
            false => json("{}"),
        }
    })
    .await;
    let asked = asked(&[&crm.url()], |_| {});
    for _ in 0..3 {
        assert_eq!(status(&asked, "GET").await.unwrap(), 503, "passed on, and counted");
    }
    for _ in 0..5 {
        let refused = status(&asked, "GET").await.unwrap_err();
        assert!(
            matches!(refused, UpstreamError::Open) && refused.status() == StatusCode::SERVICE_UNAVAILABLE
        );
    }
    assert_eq!(crm.received().len(), 3);
    asked.clock.advance(Duration::from_secs(10));
    assert_eq!(status(&asked, "GET").await.unwrap(), 503);
    assert!(status(&asked, "GET").await.is_err(), "one request tried it, in vain");
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    asked.clock.advance(Duration::from_secs(20));
    for _ in 0..3 {
        assert_eq!(status(&asked, "GET").await.unwrap(), 200);
    }
    assert_eq!(asked.upstream.load().in_flight, 0);
}

#[tokio::test]
async fn an_attempt_that_is_abandoned_lets_the_next_one_try() {
    let crm = Scripted::start(|_| vec![Act::Stall]).await;
    let asked = asked(&[&crm.url()], |config| {
        config.breaker.failures = 1;
        config.timeouts.first_byte = SHORT;
    });
    assert!(matches!(status(&asked, "GET").await, Err(UpstreamError::Timeout(Phase::FirstByte))));
    assert!(matches!(status(&asked, "GET").await, Err(UpstreamError::Open)));
    asked.clock.advance(Duration::from_secs(10));
    let mut gone = Box::pin(get(&asked.upstream));
    assert!(futures_util::poll!(gone.as_mut()).is_pending());
    assert!(matches!(status(&asked, "GET").await, Err(UpstreamError::Open)), "one at a time");
    drop(gone);
    assert!(matches!(status(&asked, "GET").await, Err(UpstreamError::Timeout(_))), "the place is free again");
    assert_eq!(asked.upstream.load().in_flight, 0);
}

#[tokio::test]
async fn a_host_that_does_not_pass_its_checks_gets_no_requests() {
    let well = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ill = Scripted::start({
        let well = Arc::clone(&well);
        move |request| match (request.target.as_str(), well.load(std::sync::atomic::Ordering::SeqCst)) {
            ("/base/healthz", false) => answer("500 Ill", &[], b"", Framing::Length),
            _ => json("{}"),
        }
    })
    .await;
    let crm = Scripted::start(|_| json("{}")).await;
    let bases = [format!("{}/base", ill.url()), format!("{}/base", crm.url())];
    let asked = asked(&[&bases[0], &bases[1]], |config| {
        let (every, timeout) = (Duration::from_secs(5), Duration::from_secs(5));
        config.health =
            Some(HealthCheck { target: "/healthz".parse().unwrap(), every, timeout, failures: 2 });
        config.credentials = Credentials::Own {
            source: TokenSource::Fixed(SecretReader::new(|| Ok(Secret::new("own".to_owned())), None)),
            put: Put::Cookie("sid".into()),
            expired: Expired::default(),
        };
    });
    asked.upstream.tick().await;
    asked.upstream.tick().await;
    assert_eq!((ill.received().len(), crm.received().len()), (1, 1), "not before it is time");
    assert_eq!(ill.received()[0].header("cookie"), None, "checks carry no credential");
    assert_eq!(asked.upstream.load().well, 2, "one failure is none");
    asked.clock.advance(Duration::from_secs(5));
    asked.upstream.tick().await;
    assert_eq!(asked.upstream.load().well, 1);
    for _ in 0..4 {
        assert_eq!(status(&asked, "GET").await.unwrap(), 200);
    }
    assert_eq!(ill.received().len(), 2);
    let metrics = asked.metrics.encode();
    assert!(metrics.contains("fieldgate_upstream_hosts_available{api=\"other\"} 1"), "{metrics}");
    well.store(true, std::sync::atomic::Ordering::SeqCst);
    asked.clock.advance(Duration::from_secs(5));
    asked.upstream.tick().await;
    assert_eq!(asked.upstream.load().well, 2);
}

#[tokio::test]
async fn urls_of_every_host_are_the_gateways() {
    let crm = Scripted::start(|_| json("{}")).await;
    let asked = asked(&[&crm.url(), "http://crm-2.internal"], |_| {});
    let answer = loop {
        if let Ok(answer) = get(&asked.upstream).await {
            break answer;
        }
    };
    assert_eq!(answer.localised(&format!("{}/x", crm.url())), Some("/x".into()));
    assert_eq!(answer.localised("http://crm-2.internal/y"), Some("/y".into()));
    assert_eq!(answer.localised("http://crm-3.internal/y"), None);
}

#[tokio::test]
async fn the_gateway_shows_its_certificate_where_it_is_asked_for_one() {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let (own, callers) = (Authority::new(), Authority::new());
    let server = own.issue("127.0.0.1");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(callers.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let crm = Scripted::start_tls(Arc::new(tls), |_| json("{}")).await;
    let folder = tempfile::tempdir().unwrap();
    let gate = callers.issue("gateway");
    let files =
        ClientCertificate { certificate: folder.path().join("c.pem"), key: folder.path().join("k.pem") };
    std::fs::write(&files.certificate, &gate.certificate).unwrap();
    std::fs::write(&files.key, &gate.key).unwrap();
    let with = |certificate: Option<ClientCertificate>| {
        let trust = Trust::Pem(own.pem().into_bytes().into());
        asked(&[&crm.url()], |config| {
            config.trust = trust;
            config.certificate = certificate;
        })
    };
    assert_eq!(status(&with(Some(files.clone())), "GET").await.unwrap(), 200);
    assert!(status(&with(None), "GET").await.is_err());
    let config = UpstreamConfig {
        certificate: Some(ClientCertificate { key: "/no/such/key".into(), ..files }),
        trust: Trust::Pem(own.pem().into_bytes().into()),
        ..config(&crm.url())
    };
    let refused =
        Upstream::new(&config, Arc::new(SystemClock::new()), Arc::new(Metrics::new())).err().unwrap();
    assert!(refused.to_string().contains("/no/such/key"), "{refused}");
}
