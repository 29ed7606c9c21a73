//! The rival: a bare hyper pass-through, with nothing between the two sockets but the header copy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// Passes everything that arrives at `listen` on to `upstream`, until the process is ended. Without `nodelay`, as
/// sockets come, a small piece waits until the one before it has been acknowledged.
pub(crate) fn run(listen: SocketAddr, upstream: SocketAddr, nodelay: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(nodelay);
        let client: Client<_, Empty<Bytes>> =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(30)).build(connector);
        let listener = TcpListener::bind(listen).await.expect("the port is free");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(nodelay).expect("a socket option");
            let client = client.clone();
            let service = service_fn(move |req| pass(client.clone(), upstream, req));
            tokio::spawn(async move {
                // The load generator closes when it has measured enough.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
}

async fn pass(
    client: Client<HttpConnector, Empty<Bytes>>,
    upstream: SocketAddr,
    req: Request<Incoming>,
) -> Result<Response<Incoming>, Infallible> {
    let target = req.uri().path_and_query().map_or("/", |target| target.as_str());
    let uri: Uri = format!("http://{upstream}{target}").parse().expect("a target");
    let mut onward = Request::get(uri);
    for (name, value) in req.headers().iter().filter(|(name, _)| *name != header::HOST) {
        onward = onward.header(name, value);
    }
    let onward = onward.body(Empty::new()).expect("a request");
    drop(req.into_body().boxed());
    Ok(client.request(onward).await.expect("an answer"))
}
