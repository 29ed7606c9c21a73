//! What is asked: a server with ready-made answers, and the records they are made of.

use std::convert::Infallible;
use std::net::SocketAddr;

use futures_util::stream;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// One record: about 1 KiB.
pub(crate) const ONE: &str = "/api/v1/customers/42";
/// A page of records: about 176 KiB.
pub(crate) const PAGE: &str = "/api/v1/customers";
/// A stream of pages: about [`EXPORT_BYTES`].
pub(crate) const EXPORT: &str = "/api/v1/export";

/// Size of the export, about.
pub(crate) const EXPORT_BYTES: usize = 64 << 20;
const PAGE_BYTES: usize = 176 << 10;

/// Serves the answers on a port of its own, on a thread of its own.
pub(crate) fn start() -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            sender.send(listener.local_addr().expect("an address")).expect("somebody waits");
            let (page, one) = (Bytes::from(page()), Bytes::from(format!("{{\"data\":{}}}", record(42))));
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("a socket option");
                let (page, one) = (page.clone(), one.clone());
                let service = service_fn(move |req| answer(page.clone(), one.clone(), req));
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
    });
    receiver.recv().expect("the address")
}

async fn answer(
    page: Bytes,
    one: Bytes,
    req: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let body = match req.uri().path() {
        ONE => Full::new(one).boxed(),
        PAGE => Full::new(page).boxed(),
        EXPORT => export(&page),
        other => panic!("nobody asks for {other}"),
    };
    let response = Response::builder().header("content-type", "application/json").body(body);
    Ok(response.expect("a response"))
}

/// `{"data":[…]}` with the records of the page again and again, in pieces of 64 KiB.
fn export(page: &Bytes) -> BoxBody<Bytes, Infallible> {
    let list = page.slice(HEAD.len()..page.len() - TAIL.len());
    let mut pieces = vec![Bytes::from_static(HEAD.as_bytes())];
    for round in 0..EXPORT_BYTES / list.len() {
        if round > 0 {
            pieces.push(Bytes::from_static(b","));
        }
        let mut rest = list.clone();
        while !rest.is_empty() {
            pieces.push(rest.split_to(rest.len().min(64 << 10)));
        }
    }
    pieces.push(Bytes::from_static(TAIL.as_bytes()));
    StreamBody::new(stream::iter(pieces.into_iter().map(|piece| Ok(Frame::data(piece))))).boxed()
}

fn page() -> String {
    let mut records = Vec::new();
    let mut bytes = 0;
    for id in 1.. {
        let record = record(id);
        bytes += record.len();
        records.push(record);
        if bytes > PAGE_BYTES {
            break;
        }
    }
    format!("{HEAD}{}{TAIL}", records.join(","))
}

const HEAD: &str = "{\"page\":1,\"data\":[";
const TAIL: &str = "]}";

/// A customer with about 35 members; the same number gives the same customer.
fn record(id: u64) -> String {
    let n = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 8;
    let owner = ["li.na", "zhang.wei", "emma.clark"][(n % 3) as usize];
    let region = ["east", "north", "overseas"][(n % 3) as usize];
    let name = ["上海华信精密机械有限公司", "Northwind Bearings Ltd", "王芳"][(n / 3 % 3) as usize];
    format!(
        concat!(
            r#"{{"id":{id},"uid":{n},"name":"{name}","kind":"company","industry":"machinery","region":"{region}","#,
            r#""status":"active","level":"A","tags":["vip","续约"],"owner_id":"{owner}","owner":{{"id":"{owner}","#,
            r#""name":"李娜","department":"华东销售部","email":"{owner}@crm.example.com"}},"phone":"154{p:08}","#,
            r#""mobile":"154{m:08}","email":"c{id}@example.com","wechat":"wx_{id}","address":{{"city":"上海","#,
            r#""street":"人民路{id}号","postcode":"{z:06}","country":"CN"}},"id_card":"110199199003{p:06}","#,
            r#""bank":{{"name":"工商银行","account":"62220299{n:011}","holder":"{name}"}},"credit_limit":{c}.50,"#,
            r#""contacts":[{{"id":{n},"name":"王强","title":"采购经理","phone":"154{m:08}","email":"w{id}@example.com"}}],"#,
            r#""notes":[{{"at":"2026-03-02","by":"{owner}","text":"电话沟通，希望周五前收到报价 \"急\"。"}}],"#,
            r#""created_at":"2019-04-01T09:30:00+08:00","updated_at":"2026-03-02T10:00:00+08:00","x_sync":"{n:016x}"}}"#
        ),
        id = id,
        n = n,
        name = name,
        region = region,
        owner = owner,
        p = n % 100_000_000,
        m = n / 7 % 100_000_000,
        z = n % 1_000_000,
        c = n % 1_000_000,
    )
}
