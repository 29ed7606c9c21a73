//! Who asks: a connection's peer and the request's credentials become a [`Principal`], or 401. One file per method.
//!
//! Only this module makes a `Principal`. Two different credentials in one request are refused, never united.

mod principal;

pub use principal::{Assumed, Kind, Method, Peer, Principal};
