//! The sample CRM behind `fieldgate demo`: a real HTTP server with the habits of a system that has grown for
//! fifteen years. It shows everybody everything, filters by any column, repeats values in its errors and leaks in
//! headers: what Fieldgate is there for.
//!
//! It listens on a loopback port that the system picks and answers only who brings the secret made at start, which
//! the gateway holds as its upstream credential. Nothing here is part of the gateway's own path of a request.

mod data;
mod export;
mod query;
mod store;
mod words;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::base::Secret;
use crate::rewrite::codec::{Coding, Encoder};

use self::data::Customer;
use self::export::{Export, Format};
use self::query::{Query, read};
use self::store::{Store, StoreError};

pub(super) use self::data::SHOWN_ID;

/// The sample CRM, listening on a thread of its own. Stops when it is dropped.
pub(super) struct Crm {
    addr: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Crm {
    /// Starts it with `records` generated customers; callers must bring `Authorization: Bearer <secret>`.
    pub(super) fn start(secret: Secret<String>, records: u64) -> std::io::Result<Self> {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let addr = socket.local_addr()?;
        let desk = Arc::new(Desk { secret, store: Arc::new(RwLock::new(Store::new(SEED, records))) });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("sample-crm".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(socket) else { return };
                tokio::select! {
                    () = accept(listener, desk) => {}
                    // Nothing is ever sent: it ends when the sender is dropped.
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { addr, _stop: stop })
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Ok(place) = places.clone().acquire_owned().await {
        while connections.try_join_next().is_some() {}
        // A failed accept (too many open files, for one) is over with the next connection that ends.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let desk = desk.clone();
        connections.spawn(async move {
            serve(stream, desk).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, desk: Arc<Desk>) {
    // Small answers must not wait for the reader's acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |req| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.answer(req).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // How a connection ended is nobody's business here: the gateway sees it from its side.
    let _ = connection.await;
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Why a request is not answered as asked: status and text, which says more than it should.
type Complaint = (StatusCode, String);

struct Desk {
    secret: Secret<String>,
    store: Arc<RwLock<Store>>,
}

impl Desk {
    async fn answer(&self, req: Request<Incoming>) -> Response<Body> {
        let coding = coding(req.headers());
        let mut response = match self.route(req, coding).await {
            Ok(response) => response,
            Err((status, message)) => {
                json_answer(status, &json!({ "error": status.as_u16(), "message": message }), coding)
            }
        };
        old_habits(response.headers_mut());
        response
    }

    async fn route(&self, req: Request<Incoming>, coding: Coding) -> Result<Response<Body>, Complaint> {
        let path = req.uri().path().to_owned();
        if path == "/healthz" {
            return Ok(json_answer(StatusCode::OK, &json!({ "status": "ok" }), Coding::Identity));
        }
        self.admit(req.headers())?;
        let query = Query::parse(req.uri().query().unwrap_or_default())
            .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
        let method = req.method().clone();
        let tail = path.strip_prefix("/api/v1/customers").map(|tail| tail.trim_start_matches('/'));
        match (method.as_str(), tail) {
            ("GET" | "HEAD", Some("")) => Ok(self.list(&query, coding).await),
            ("GET" | "HEAD", Some("export")) => self.export(query, coding),
            ("POST", Some("")) => self.create(req, coding).await,
            (_, Some(id)) => {
                let id = id
                    .parse()
                    .map_err(|_| (StatusCode::NOT_FOUND, format!("Customer {id} does not exist")))?;
                self.one(&method, id, &query, req, coding).await
            }
            ("GET", None) if path == "/api/v1/debug" => Ok(self.debug(coding)),
            _ => Err((StatusCode::NOT_FOUND, format!("No page at {path}"))),
        }
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), Complaint> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        if given.is_some_and(|given| given.ct_eq(self.secret.expose().as_bytes()).into()) {
            return Ok(());
        }
        Err((StatusCode::UNAUTHORIZED, "Please log in".to_owned()))
    }

    async fn list(&self, query: &Query, coding: Coding) -> Response<Body> {
        let (ids, total) = query.page(&self.store).await;
        let data: Vec<Value> = ids
            .into_iter()
            .filter_map(|id| read(&self.store).get(id))
            .map(|customer| query.select(customer).into())
            .collect();
        let answer = json!({
            "page": query.page,
            "page_size": query.page_size,
            "total": total,
            "data": data,
            "debug": { "sql": "SELECT * FROM t_customer", "first": data.first().and_then(|c| c.get("phone")) },
        });
        let mut response = json_answer(StatusCode::OK, &answer, coding);
        response.headers_mut().insert("x-total-count", HeaderValue::from(total));
        response
    }

    fn export(&self, query: Query, coding: Coding) -> Result<Response<Body>, Complaint> {
        let (format, media_type) = match query.format.as_deref() {
            None | Some("csv") => (Format::Csv, "text/csv; charset=utf-8"),
            Some("json") => (Format::Json, JSON),
            Some(other) => return Err((StatusCode::BAD_REQUEST, format!("Unknown format '{other}'"))),
        };
        let pieces = Export::new(self.store.clone(), query, format, coding).stream();
        let body = StreamBody::new(pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece))));
        let mut response = Response::new(BodyExt::boxed_unsync(body));
        head(response.headers_mut(), media_type, coding);
        response
            .headers_mut()
            .insert("content-disposition", HeaderValue::from_static("attachment; filename=customers"));
        Ok(response)
    }

    async fn one(
        &self,
        method: &Method,
        id: u64,
        query: &Query,
        req: Request<Incoming>,
        coding: Coding,
    ) -> Result<Response<Body>, Complaint> {
        match method.as_str() {
            "GET" | "HEAD" => {
                let customer =
                    read(&self.store).get(id).ok_or_else(|| complaint(&StoreError::Unknown(id)))?;
                Ok(self.record(StatusCode::OK, query.select(customer), coding))
            }
            // A PUT that leaves out a member leaves the member alone, as in many systems of its age.
            "PUT" | "PATCH" => {
                let members = members(req).await?;
                let customer = self.change(|store| store.update(id, members))?;
                Ok(self.record(StatusCode::OK, customer, coding))
            }
            "DELETE" => {
                self.change(|store| store.delete(id))?;
                Ok(json_answer(StatusCode::OK, &json!({ "deleted": id }), coding))
            }
            other => {
                Err((StatusCode::METHOD_NOT_ALLOWED, format!("{other} is not allowed on customer {id}")))
            }
        }
    }

    async fn create(&self, req: Request<Incoming>, coding: Coding) -> Result<Response<Body>, Complaint> {
        let members = members(req).await?;
        let customer = self.change(|store| store.insert(members))?;
        Ok(self.record(StatusCode::CREATED, customer, coding))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Store) -> Result<T, StoreError>) -> Result<T, Complaint> {
        let mut store = self.store.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut store).map_err(|error| complaint(&error))
    }

    fn record(&self, status: StatusCode, customer: Customer, coding: Coding) -> Response<Body> {
        let tag = format!("\"{}-{}\"", customer.get("id").unwrap_or(&Value::Null), customer.len());
        let mut response = json_answer(status, &json!({ "data": customer }), coding);
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            response.headers_mut().insert(http::header::ETAG, tag);
        }
        response
    }

    /// A page somebody forgot to take down. No route of the policy leads here.
    fn debug(&self, coding: Coding) -> Response<Body> {
        let customer = read(&self.store).get(SHOWN_ID);
        json_answer(
            StatusCode::OK,
            &json!({ "dsn": "mysql://crm@10.1.2.3/crm", "last_row": customer }),
            coding,
        )
    }
}

fn complaint(error: &StoreError) -> Complaint {
    let status = match error {
        StoreError::Unknown(_) => StatusCode::NOT_FOUND,
        StoreError::Full => StatusCode::INSUFFICIENT_STORAGE,
        StoreError::Fixed(_) | StoreError::Value { .. } => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (status, error.to_string())
}

/// The JSON object in a request's body.
async fn members(req: Request<Incoming>) -> Result<Customer, Complaint> {
    let mut body = Limited::new(req.into_body(), MAX_BODY_BYTES);
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?;
        if let Some(data) = frame.data_ref() {
            text.extend_from_slice(data);
        }
    }
    serde_json::from_slice(&text)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("{error} in {}", String::from_utf8_lossy(&text))))
}

fn json_answer(status: StatusCode, value: &Value, coding: Coding) -> Response<Body> {
    let text = value.to_string().into_bytes();
    let text = match coding {
        Coding::Identity => text,
        coding => {
            let (mut encoder, mut out) = (Encoder::new(coding), Vec::new());
            encoder.push(&text, &mut out);
            encoder.finish(&mut out);
            out
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = status;
    head(response.headers_mut(), JSON, coding);
    response
}

fn head(headers: &mut HeaderMap, media_type: &'static str, coding: Coding) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if coding == Coding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

fn coding(headers: &HeaderMap) -> Coding {
    let asked = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| {
            let (name, quality) = part.split_once(";q=").unwrap_or((part, "1"));
            name.trim().eq_ignore_ascii_case("gzip") && quality.trim().parse::<f32>().is_ok_and(|q| q > 0.0)
        });
    if asked { Coding::Gzip } else { Coding::Identity }
}

/// Headers that tell who answers, and a session for whoever keeps it.
fn old_habits(headers: &mut HeaderMap) {
    headers.insert("server", HeaderValue::from_static("Apache/2.2.22 (Debian)"));
    headers.insert("x-powered-by", HeaderValue::from_static("PHP/5.4.45"));
    headers.insert("set-cookie", HeaderValue::from_static("CRMSESSID=5f2c6a; path=/"));
    headers.insert("x-debug-sql", HeaderValue::from_static("SELECT * FROM t_customer"));
}

const JSON: &str = "application/json; charset=utf-8";

/// Every start has the same customers.
const SEED: u64 = 2026;

/// Connections served at the same time.
const MAX_CONNECTIONS: usize = 1_024;

/// Largest request body.
const MAX_BODY_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;
