-- Tokens that answer questions (RFC 6287), and the challenges that ask them. A CHECK cannot be changed in place, so
-- the table of tokens is written anew: the same rows, the same bytes under their MACs.

CREATE TABLE token_new (
    id               BLOB PRIMARY KEY,
    serial           TEXT NOT NULL UNIQUE,
    user_id          BLOB REFERENCES user (id),
    class            TEXT NOT NULL CHECK (class IN ('soft', 'hard')),
    type             TEXT NOT NULL CHECK (type IN ('hotp', 'totp', 'ocra')),
    label            TEXT NOT NULL DEFAULT '',
    algorithm        TEXT NOT NULL CHECK (algorithm IN ('SHA1', 'SHA256', 'SHA512')),
    digits           INTEGER NOT NULL CHECK (digits BETWEEN 6 AND 10),
    checksum         INTEGER NOT NULL CHECK (checksum IN (0, 1)),
    truncation       INTEGER NOT NULL CHECK (truncation BETWEEN -1 AND 15), -- -1 is dynamic
    period           INTEGER NOT NULL CHECK (period = 0 OR period BETWEEN 10 AND 120),
    t0               INTEGER NOT NULL,
    question_digits  INTEGER NOT NULL DEFAULT 0 CHECK (question_digits = 0 OR question_digits BETWEEN 4 AND 10),
    record           BLOB,                       -- wrapped secret; gone once revoked
    record_mac       BLOB NOT NULL,
    reveal           BLOB,                       -- second wrap, where the policy allows a reveal
    fingerprint      BLOB NOT NULL,              -- HMAC of the secret in the HSM: finds duplicates
    last_factor      INTEGER NOT NULL,           -- last consumed counter, step or question; -1 before the first
    drift            INTEGER NOT NULL,
    failures         INTEGER NOT NULL,
    lock_boot        BLOB,
    lock_boot_ms     INTEGER,
    lifecycle        TEXT NOT NULL
        CHECK (lifecycle IN ('in_stock', 'assigned', 'pending', 'active', 'suspended', 'revoked')),
    epoch            INTEGER NOT NULL,
    state_mac        BLOB NOT NULL,
    loa              REAL NOT NULL,
    binding          TEXT,                       -- JSON: the enrolment that bound it
    batch            TEXT,
    created_at       INTEGER NOT NULL,
    CHECK ((type = 'ocra') = (question_digits <> 0))
) STRICT, WITHOUT ROWID;

INSERT INTO token_new (id, serial, user_id, class, type, label, algorithm, digits, checksum, truncation, period, t0,
    record, record_mac, reveal, fingerprint, last_factor, drift, failures, lock_boot, lock_boot_ms, lifecycle, epoch,
    state_mac, loa, binding, batch, created_at)
SELECT id, serial, user_id, class, type, label, algorithm, digits, checksum, truncation, period, t0,
    record, record_mac, reveal, fingerprint, last_factor, drift, failures, lock_boot, lock_boot_ms, lifecycle, epoch,
    state_mac, loa, binding, batch, created_at
FROM token;

DROP TABLE token;
ALTER TABLE token_new RENAME TO token;
CREATE INDEX token_user ON token (user_id);
CREATE INDEX token_fingerprint ON token (fingerprint);
-- One living token for one secret.
CREATE UNIQUE INDEX token_secret ON token (fingerprint) WHERE lifecycle <> 'revoked';

-- Digits that the user types into the token; none in a challenge whose code is sent.
ALTER TABLE challenge ADD COLUMN question TEXT;
