-- One schema for SQLite and PostgreSQL. What differs is written {{so}} and filled
-- in by dialect.go. Times are Unix microseconds; 0 is "none". A column called body
-- is JSON sealed to its own row: read seal.go before adding a key column.

-- +goose Up

CREATE TABLE cases (
    id      TEXT   NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    account TEXT   NOT NULL,            -- flow.Case.Key
    purpose TEXT   NOT NULL,
    status  TEXT   NOT NULL,            -- of the outcome
    closed  TEXT   NOT NULL,            -- once set, set for ever; overrides the body
    intent  BIGINT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    body    {{bytes}} NOT NULL
);
CREATE INDEX cases_running ON cases (account) WHERE closed = '' AND status IN ('', 'applying');
CREATE INDEX cases_applying ON cases (intent) WHERE status = 'applying';
CREATE INDEX cases_expires ON cases (expires);

CREATE TABLE strikes (
    account     TEXT   NOT NULL,
    kind        TEXT   NOT NULL,
    consecutive BIGINT NOT NULL,
    win         BIGINT NOT NULL,
    since       BIGINT NOT NULL,
    last        BIGINT NOT NULL,
    PRIMARY KEY (account, kind)
);

CREATE TABLE credentials (
    id      TEXT   NOT NULL PRIMARY KEY,
    owner   TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    handle  {{bytes}},
    counter BIGINT NOT NULL,
    created BIGINT NOT NULL,
    used    BIGINT NOT NULL,
    body    {{bytes}} NOT NULL,
    UNIQUE (kind, handle)
);
CREATE INDEX credentials_owner ON credentials (owner, kind);

CREATE TABLE handles (
    owner  TEXT NOT NULL PRIMARY KEY,
    handle {{bytes}} NOT NULL UNIQUE
);

CREATE TABLE offers (
    owner   TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    session TEXT   NOT NULL,
    tries   BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    body    {{bytes}} NOT NULL,
    PRIMARY KEY (owner, kind)
);
CREATE INDEX offers_expires ON offers (expires);

CREATE TABLE sessions (
    hash    {{bytes}} NOT NULL PRIMARY KEY, -- of the browser's token
    owner   TEXT   NOT NULL,            -- who is signed in; '' for nobody
    created BIGINT NOT NULL,
    used    BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    body    {{bytes}} NOT NULL
);
CREATE INDEX sessions_owner ON sessions (owner) WHERE owner <> '';
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE messages (
    id      TEXT   NOT NULL PRIMARY KEY,
    created BIGINT NOT NULL,
    due     BIGINT NOT NULL,            -- not before; while somebody holds it, the end of the lease
    tries   BIGINT NOT NULL,
    body    {{bytes}} NOT NULL
);
CREATE INDEX messages_due ON messages (due);

CREATE TABLE audit_events (
    seq     {{sequence}},
    txid    {{txid}},                   -- which transaction wrote it, where several write at once
    at      BIGINT NOT NULL,
    case_id TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    event   TEXT   NOT NULL             -- the whole event as JSON
);
CREATE INDEX audit_events_at ON audit_events (at);
CREATE INDEX audit_events_case ON audit_events (case_id) WHERE case_id <> '';
CREATE INDEX audit_events_subject ON audit_events (subject, seq) WHERE subject <> '';

{{append_only}}
