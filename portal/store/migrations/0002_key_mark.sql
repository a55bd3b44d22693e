-- One row that only the keys of this database can open: see mark.go.

-- +goose Up

CREATE TABLE key_mark (
    id   TEXT NOT NULL PRIMARY KEY,
    body {{bytes}} NOT NULL
);
