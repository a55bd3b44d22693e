-- Registered devices, and what they ask of a phone or of the desk.

-- +goose Up

CREATE TABLE kiosks (
    id    TEXT   NOT NULL PRIMARY KEY,
    print TEXT   NOT NULL,              -- hash of its public key; '': none yet
    code  TEXT   NOT NULL,              -- keyed hash of its one-time code; '': used
    seen  BIGINT NOT NULL DEFAULT 0,
    addr  TEXT   NOT NULL DEFAULT '',   -- where it was seen from
    body  {{bytes}} NOT NULL            -- kiosk.Device
);
CREATE UNIQUE INDEX kiosks_print ON kiosks (print) WHERE print <> '';
CREATE UNIQUE INDEX kiosks_code ON kiosks (code) WHERE code <> '';

CREATE TABLE errands (
    id      TEXT   NOT NULL PRIMARY KEY,
    kind    TEXT   NOT NULL,            -- phone, desk
    code    TEXT   NOT NULL,            -- keyed hash of the phone's code; '': none, or used
    expires BIGINT NOT NULL,
    ended   BIGINT NOT NULL,            -- 1: it is
    body    {{bytes}} NOT NULL          -- kiosk.Errand
);
CREATE UNIQUE INDEX errands_code ON errands (code) WHERE code <> '';
CREATE INDEX errands_open ON errands (kind, expires) WHERE ended = 0;
CREATE INDEX errands_expires ON errands (expires);
