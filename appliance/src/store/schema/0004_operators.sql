-- People with roles, acts of two persons, and MACs over the rows that say who may do what. Neither of the two tables
-- had a writer before.

DROP TABLE operator;
CREATE TABLE operator (
    user_id          BLOB PRIMARY KEY REFERENCES user (id),
    uid              INTEGER UNIQUE,             -- on the local socket; gone once revoked
    roles            TEXT NOT NULL,              -- JSON list
    created_at       INTEGER NOT NULL,
    revoked_at       INTEGER,
    mac              BLOB NOT NULL               -- over the row and the user's name
) STRICT, WITHOUT ROWID;

DROP TABLE approval;
CREATE TABLE approval (
    id               BLOB PRIMARY KEY,           -- 128 random bits
    act              TEXT NOT NULL,
    arguments        TEXT NOT NULL,              -- JSON in one spelling
    requested_by     TEXT NOT NULL,
    requested_role   TEXT NOT NULL,
    requested_at     INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'denied', 'expired', 'done')),
    decided_by       TEXT,
    decided_role     TEXT,
    decided_at       INTEGER,
    mac              BLOB NOT NULL               -- over the row
) STRICT, WITHOUT ROWID;
CREATE INDEX approval_open ON approval (expires_at) WHERE state IN ('waiting', 'approved');

ALTER TABLE application ADD COLUMN mac BLOB;     -- over the row
-- Nobody can say who wrote a row without a MAC: its key is dead, its name is free for a new one.
UPDATE application SET name = 'before-' || lower(hex(id)), revoked_at = coalesce(revoked_at, created_at);
