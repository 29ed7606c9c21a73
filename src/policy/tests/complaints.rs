//! What `check` says, with place and help.
