//! (to come)

mod demo;
