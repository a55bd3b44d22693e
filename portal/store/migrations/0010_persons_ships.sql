-- A key for each person, under which the record holds what tells who they are: without
-- the row nobody can read that any more. And how far the record was shipped.

-- +goose Up

CREATE TABLE person_keys (
    person  TEXT   NOT NULL PRIMARY KEY, -- an account, or 'strangers:' and a month
    created BIGINT NOT NULL,
    body    {{bytes}} NOT NULL           -- a key, sealed
);

CREATE TABLE ship_cursors (
    name      TEXT   NOT NULL PRIMARY KEY,
    next      BIGINT NOT NULL,          -- entry of the log to send next
    hold      BIGINT NOT NULL,          -- entries not sent at which the portal stops acting; 0: never
    witnessed BIGINT NOT NULL,          -- size of the checkpoint sent last
    told      BIGINT NOT NULL,          -- when that was
    holder    TEXT   NOT NULL,          -- which node ships
    until     BIGINT NOT NULL           -- how long it may
);
