-- Whose proofs a case rests on, where that is another account of the same person: what
-- ends their cases ends it too. Empty nearly always.

-- +goose Up

ALTER TABLE cases ADD COLUMN owner TEXT NOT NULL DEFAULT ''; -- flow.Case.Owner
CREATE INDEX cases_owner ON cases (owner) WHERE owner <> '';
