-- Which event a receipt is of. A row here is never changed and never deleted.

-- +goose Up

CREATE TABLE receipts (
    seq  BIGINT NOT NULL PRIMARY KEY,   -- of audit_events
    code TEXT   NOT NULL UNIQUE
);

{{append_only_receipts}}
