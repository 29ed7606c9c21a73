-- The same text runs on SQLite and PostgreSQL. Through sqlx's Any driver only TEXT, BIGINT, DOUBLE PRECISION and
-- BYTEA exist: flags are BIGINT 0/1, times are BIGINT microseconds since 1970, ids are TEXT.

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- `revision` grows with every change of any key, so that a running gateway reads only what changed.
CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    hash         BYTEA NOT NULL,
    name         TEXT NOT NULL,
    details      TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT,
    revision     BIGINT NOT NULL
);
CREATE INDEX api_keys_revision ON api_keys (revision);

CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('api_keys', 0);

-- One row per limit and subject. `slots` is what has been reserved of a sliding window, by time slot; `version`
-- makes a change conditional on nobody else having made one.
CREATE TABLE budgets (
    limit_key  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    slots      TEXT NOT NULL,
    version    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (limit_key, subject)
);
CREATE INDEX budgets_expires ON budgets (expires_at);

-- The different records a subject was given in a window, as keyed hashes.
CREATE TABLE budget_records (
    limit_key  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    record     BIGINT NOT NULL,
    slot       BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (limit_key, subject, record)
);
CREATE INDEX budget_records_expires ON budget_records (expires_at);
