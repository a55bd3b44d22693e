-- When a session was last used at the desk by its person, and the forms of the desk
-- that were acted on: the same one sent twice acts once.

-- +goose Up

ALTER TABLE sessions ADD COLUMN desk BIGINT NOT NULL DEFAULT 0;

CREATE TABLE spent (
    mark TEXT   NOT NULL PRIMARY KEY,
    at   BIGINT NOT NULL
);
CREATE INDEX spent_at ON spent (at);
