-- Acts of administration that wait to be written to the audit: the row comes in with the change that it tells of and
-- goes when its record is on the disk. `claim` names who is writing it, empty at first.
CREATE TABLE acts (
    id         TEXT PRIMARY KEY,
    content    TEXT NOT NULL,
    claim      TEXT NOT NULL,
    claimed_at BIGINT NOT NULL
);

-- Who gets nothing, whatever the policy says. An empty issuer means that of every issuer.
CREATE TABLE freezes (
    issuer  TEXT NOT NULL,
    subject TEXT NOT NULL,
    since   BIGINT NOT NULL,
    cause   TEXT NOT NULL,
    reason  TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
INSERT INTO counters (name, value) VALUES ('freezes', 0);
