-- Since when a case waits for a second technician; 0: it does not.

-- +goose Up

ALTER TABLE cases ADD COLUMN held BIGINT NOT NULL DEFAULT 0;
CREATE INDEX cases_held ON cases (held) WHERE held > 0;
