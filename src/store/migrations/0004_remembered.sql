-- What earlier answers let a principal refer to: `id` is a hash of whom, what and under which policy; `bound` is what
-- it stands for, empty once it has stood for two different things.
CREATE TABLE remembered (
    id         TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    bound      TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX remembered_owner ON remembered (owner, expires_at);
CREATE INDEX remembered_expires ON remembered (expires_at);
