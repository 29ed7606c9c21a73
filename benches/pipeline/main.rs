//! The whole way of a request, against a bare hyper pass-through in the same run: processor time of the proxy for
//! each request (user and system, of its own process), for an answer of 1 KiB, a page of 176 KiB and a streamed export;
//! how long callers wait, what idle connections cost, and whether a reload makes anybody wait.
//!
//! `cargo bench --bench pipeline`; `FIELDGATE_BENCH_PARTS=idle,reload` for some of the parts. The gateway is the binary,
//! started with a configuration and a policy made here: API key, decision, rewriting of every record, metrics and audit
//! on. The ratios come after criterion's own lines.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench that cannot run stops, and its result is what it prints"
)]

mod idle;
mod latency;
mod proxies;
mod reload;
mod rival;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Runtime;

use proxies::{Gateway, PassThrough, Proxy};

fn main() {
    if proxies::is_pass_through() {
        return;
    }
    let bench = Bench {
        upstream: upstream::start(),
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
        client: Client::builder(TokioExecutor::new()).build_http(),
    };
    let wanted = std::env::var(PARTS).unwrap_or_else(|_| ALL_PARTS.into());
    let is_wanted = |part| wanted.split(',').any(|name| name == part);
    // In this order: a process that was busy has more memory at hand than it needs for what is open.
    if is_wanted("idle") {
        bench.idle();
    }
    if is_wanted("cpu") {
        bench.cpu();
    }
    if is_wanted("latency") {
        bench.latency();
    }
    if is_wanted("reload") {
        let rival = PassThrough::start(bench.upstream, true);
        bench.runtime.block_on(reload::print(&bench.client, &rival, bench.upstream));
    }
}

struct Bench {
    upstream: SocketAddr,
    runtime: Runtime,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Bench {
    fn idle(&self) {
        idle::print(&PassThrough::start(self.upstream, true));
        idle::print(&Gateway::start(self.upstream));
    }

    fn cpu(&self) {
        let proxies: [&dyn Proxy; 2] =
            [&PassThrough::start(self.upstream, true), &Gateway::start(self.upstream)];
        let mut criterion = Criterion::default().configure_from_args();
        let sums = Sums::default();
        for (name, target, in_flight) in
            [("1 KiB", upstream::ONE, 16), ("176 KiB", upstream::PAGE, 16), ("export", upstream::EXPORT, 1)]
        {
            let mut group = criterion.benchmark_group(format!("pipeline/{name}"));
            group
                .sample_size(10)
                .warm_up_time(Duration::from_secs(1))
                .measurement_time(Duration::from_secs(5));
            let answered = self.runtime.block_on(ask(&self.client, proxies[0], target));
            group.throughput(Throughput::Bytes(answered));
            for proxy in proxies {
                group.bench_function(proxy.name(), |bencher| {
                    bencher.iter_custom(|requests| {
                        let before = proxy.cpu();
                        self.runtime.block_on(load(&self.client, proxy, target, requests, in_flight));
                        let spent = proxy.cpu() - before;
                        sums.add(name, proxy.name(), spent, requests);
                        spent
                    });
                });
            }
            group.finish();
        }
        criterion.final_summary();
        sums.print();
    }

    fn latency(&self) {
        let nagle = PassThrough::start(self.upstream, false);
        let plain = PassThrough::start(self.upstream, true);
        let ours = Gateway::start(self.upstream);
        for (name, target) in [("1 KiB", upstream::ONE), ("176 KiB", upstream::PAGE)] {
            for proxy in [&nagle as &dyn Proxy, &plain, &ours] {
                self.runtime.block_on(latency::print(&self.client, proxy, name, target));
            }
        }
    }
}

/// The environment variable that says which parts run.
const PARTS: &str = "FIELDGATE_BENCH_PARTS";
const ALL_PARTS: &str = "idle,cpu,latency,reload";

/// Sends `requests` requests, `in_flight` at a time.
async fn load(
    client: &Client<HttpConnector, Empty<Bytes>>,
    proxy: &dyn Proxy,
    target: &str,
    requests: u64,
    in_flight: u64,
) {
    let share = |worker| requests / in_flight + u64::from(worker < requests % in_flight);
    let workers = (0..in_flight).map(|worker| async move {
        for _ in 0..share(worker) {
            ask(client, proxy, target).await;
        }
    });
    futures_util::future::join_all(workers).await;
}

/// One request; the answer must be whole. Gives its length.
async fn ask(client: &Client<HttpConnector, Empty<Bytes>>, proxy: &dyn Proxy, target: &str) -> u64 {
    let req = Request::get(format!("http://{}{target}", proxy.addr()))
        .header("authorization", format!("Bearer {}", proxies::KEY))
        .body(Empty::new())
        .expect("a request");
    let response = client.request(req).await.expect("an answer");
    assert_eq!(response.status(), 200, "{} {target}", proxy.name());
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.expect("a whole answer").data_ref().map_or(0, |data| data.len() as u64);
    }
    length
}

/// What was spent in all, for the ratios.
#[derive(Default)]
struct Sums(Mutex<BTreeMap<Case, (Duration, u64)>>);

/// Bench and proxy.
type Case = (&'static str, &'static str);

impl Sums {
    fn add(&self, bench: &'static str, proxy: &'static str, spent: Duration, requests: u64) {
        let mut sums = self.0.lock().expect("no panic");
        let sum = sums.entry((bench, proxy)).or_default();
        *sum = (sum.0 + spent, sum.1 + requests);
    }

    fn print(&self) {
        let sums = self.0.lock().expect("no panic");
        let each = |bench, proxy| {
            sums.get(&(bench, proxy)).map(|(spent, requests)| spent.as_secs_f64() / *requests as f64)
        };
        for bench in ["1 KiB", "176 KiB", "export"] {
            if let (Some(bare), Some(ours)) =
                (each(bench, proxies::PASS_THROUGH), each(bench, proxies::GATEWAY))
            {
                println!(
                    "{bench:>8}: hyper {:9.1} us, fieldgate {:9.1} us of CPU a request: {:.2}x, {:+.1} us",
                    bare * 1e6,
                    ours * 1e6,
                    ours / bare,
                    (ours - bare) * 1e6,
                );
            }
        }
        if let Some(ours) = each("export", proxies::GATEWAY) {
            println!("  export: {:.2} GB a CPU second", upstream::EXPORT_BYTES as f64 / ours / 1e9);
        }
    }
}
