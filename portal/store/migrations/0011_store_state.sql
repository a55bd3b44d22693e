-- What is said of the database as a whole: how often it was restored from a backup, and
-- that it is a copy which is not finished. Empty nearly always. (0010 is another's.)

-- +goose Up

CREATE TABLE store_state (
    id   TEXT NOT NULL PRIMARY KEY,     -- 'epoch', 'copy'
    body {{bytes}} NOT NULL             -- store.state
);
