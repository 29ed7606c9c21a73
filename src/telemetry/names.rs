//! Every metric and label, once. Dashboards and alert rules under `deploy/` name only what stands here; a test
//! keeps that true. Labels have few values: never a person, a record or a free text.
