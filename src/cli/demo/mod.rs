//! (to come)
mod crm;
