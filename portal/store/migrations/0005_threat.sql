-- How careful the portal is at the moment: one row, once somebody has raised it.

-- +goose Up

CREATE TABLE threat (
    id   TEXT NOT NULL PRIMARY KEY,     -- 'portal'
    body {{bytes}} NOT NULL             -- access.Threat
);
