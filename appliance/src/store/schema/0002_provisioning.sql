-- Hardware tokens as devices: who vouches for them, and the exchange that may still be under way.

CREATE TABLE device (
    serial           TEXT PRIMARY KEY,
    attestation_key  BLOB NOT NULL,              -- P-256, SEC 1 uncompressed
    maker            BLOB NOT NULL,              -- id of the maker key that vouched for it
    firmware         TEXT NOT NULL,              -- version and hash, as it last said
    batch            TEXT,
    counter          INTEGER NOT NULL,           -- of the last exchange that was confirmed
    token_id         BLOB REFERENCES token (id), -- what it holds
    held_tag         BLOB,                       -- releases the secret; erased once the device has committed
    updated_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX device_batch ON device (batch);
