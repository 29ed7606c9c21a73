//! What operators watch: metric names and labels (once), logs.

pub mod names;
