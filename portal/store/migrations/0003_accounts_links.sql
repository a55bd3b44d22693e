-- What is remembered of an account beside its credentials, and the links that
-- messages carry.

-- +goose Up

CREATE TABLE accounts (
    account TEXT   NOT NULL PRIMARY KEY,
    frozen  BIGINT NOT NULL,            -- since when nothing is done for it; 0: it is served
    body    {{bytes}} NOT NULL          -- access.Standing
);
CREATE INDEX accounts_frozen ON accounts (frozen) WHERE frozen > 0;

CREATE TABLE links (
    hash    {{bytes}} NOT NULL PRIMARY KEY, -- of the token
    kind    TEXT   NOT NULL,
    account TEXT   NOT NULL,
    case_id TEXT   NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used    BIGINT NOT NULL
);
CREATE INDEX links_expires ON links (expires);
CREATE INDEX links_account ON links (account, kind) WHERE used = 0;
