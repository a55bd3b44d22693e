-- The record as a Merkle log (portal/audit). A row here is never changed and never
-- deleted; log_head alone moves, and what it says can be found out again.

-- +goose Up

CREATE TABLE log_entries (
    idx BIGINT NOT NULL PRIMARY KEY,    -- place in the log, from 0
    seq BIGINT NOT NULL UNIQUE          -- of audit_events
);

CREATE TABLE log_hashes (
    pos  BIGINT NOT NULL PRIMARY KEY,   -- tlog.StoredHashIndex
    hash {{bytes}} NOT NULL
);

CREATE TABLE log_checkpoints (
    size BIGINT NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL,
    note TEXT   NOT NULL                -- signed
);

-- Where to look for events that are not in the log yet. Numbers of events are given out
-- before the commit, so that a smaller one may still appear. Behind low there is none; low
-- becomes mid and mid becomes next once no transaction older than horizon is left.
CREATE TABLE log_head (
    id      TEXT   NOT NULL PRIMARY KEY,
    low     BIGINT NOT NULL,
    mid     BIGINT NOT NULL,
    next    BIGINT NOT NULL,
    horizon BIGINT NOT NULL
);
INSERT INTO log_head (id, low, mid, next, horizon) VALUES ('log', 0, 0, 0, 0);

{{append_only_log}}
