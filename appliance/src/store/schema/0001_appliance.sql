-- Ids are 16 bytes (UUIDv7 for rows, 128 random bits for handles seen outside). Wall times are Unix
-- milliseconds. A deadline on the boot clock is a pair: boot id (16 bytes) and milliseconds since that boot.
-- Nothing here is a secret in clear: secrets are wrapped by the HSM, personal data is sealed under the
-- person's key, which the HSM wraps.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE user (
    id               BLOB PRIMARY KEY,
    name             TEXT NOT NULL UNIQUE,
    user_ref         TEXT NOT NULL UNIQUE,       -- the pseudonym in events
    lang             TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('active', 'locked', 'forgotten')),
    person_key       BLOB,                       -- record wrapped by the HSM; gone once forgotten
    display_name     BLOB,                       -- sealed, as the next three
    contact_phone    BLOB,                       -- never authenticates
    email            BLOB,
    postal_address   BLOB,
    org              TEXT,
    groups           TEXT NOT NULL DEFAULT '[]',
    attributes       BLOB,                       -- sealed JSON
    password_hash    TEXT,
    active_method    TEXT NOT NULL DEFAULT 'PASSWORD',
    next_method      TEXT,
    failures         INTEGER NOT NULL DEFAULT 0, -- consecutive, over everything
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE phone (
    id               BLOB PRIMARY KEY,
    user_id          BLOB NOT NULL UNIQUE REFERENCES user (id),
    number           BLOB NOT NULL,              -- sealed
    number_lookup    BLOB NOT NULL,              -- HMAC in the HSM
    state            TEXT NOT NULL CHECK (state IN ('verified', 'suspended')),
    source           TEXT NOT NULL CHECK (source IN ('operator', 'application', 'self_registration', 'desk', 'change')),
    evidence         TEXT NOT NULL,              -- JSON: who or what verified it
    loa              REAL NOT NULL,
    registered_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX phone_lookup ON phone (number_lookup);

CREATE TABLE token (
    id               BLOB PRIMARY KEY,
    serial           TEXT NOT NULL UNIQUE,
    user_id          BLOB REFERENCES user (id),
    class            TEXT NOT NULL CHECK (class IN ('soft', 'hard')),
    type             TEXT NOT NULL CHECK (type IN ('hotp', 'totp')),
    label            TEXT NOT NULL DEFAULT '',
    algorithm        TEXT NOT NULL CHECK (algorithm IN ('SHA1', 'SHA256', 'SHA512')),
    digits           INTEGER NOT NULL CHECK (digits BETWEEN 6 AND 10),
    checksum         INTEGER NOT NULL CHECK (checksum IN (0, 1)),
    truncation       INTEGER NOT NULL CHECK (truncation BETWEEN -1 AND 15), -- -1 is dynamic
    period           INTEGER NOT NULL CHECK (period = 0 OR period BETWEEN 10 AND 120),
    t0               INTEGER NOT NULL,
    record           BLOB,                       -- wrapped secret; gone once revoked
    record_mac       BLOB NOT NULL,
    reveal           BLOB,                       -- second wrap, where the policy allows a reveal
    fingerprint      BLOB NOT NULL,              -- HMAC of the secret in the HSM: finds duplicates
    last_factor      INTEGER NOT NULL,           -- last consumed counter or step; -1 before the first
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
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_user ON token (user_id);
CREATE INDEX token_fingerprint ON token (fingerprint);
-- One living token for one secret.
CREATE UNIQUE INDEX token_secret ON token (fingerprint) WHERE lifecycle <> 'revoked';

CREATE TABLE application (
    id               BLOB PRIMARY KEY,
    name             TEXT NOT NULL UNIQUE,
    key_hash         BLOB NOT NULL UNIQUE,       -- SHA-256 of a key with 256 random bits
    scopes           TEXT NOT NULL,              -- JSON list
    created_at       INTEGER NOT NULL,
    revoked_at       INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE operator (
    user_id          BLOB PRIMARY KEY REFERENCES user (id),
    uid              INTEGER UNIQUE,             -- on the local socket
    roles            TEXT NOT NULL,              -- JSON list
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE approval (
    id               BLOB PRIMARY KEY,
    act              TEXT NOT NULL,
    payload          BLOB NOT NULL,              -- sealed
    requested_by     TEXT NOT NULL,
    requested_at     INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('open', 'approved', 'refused', 'expired', 'done')),
    decided_by       TEXT,
    decided_at       INTEGER,
    CHECK (decided_by IS NULL OR decided_by <> requested_by)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    id               BLOB PRIMARY KEY,
    user_id          BLOB REFERENCES user (id),
    application_id   BLOB REFERENCES application (id),
    amr              TEXT NOT NULL DEFAULT '[]', -- JSON list: password, iak, sms, otp, push, ...
    loa              REAL NOT NULL DEFAULT 1,
    attributes       BLOB,                       -- sealed JSON
    counters         TEXT NOT NULL DEFAULT '{}',
    created_at       INTEGER NOT NULL,
    idle_boot        BLOB NOT NULL,
    idle_boot_ms     INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE challenge (
    id               BLOB PRIMARY KEY,           -- 128 random bits
    user_id          BLOB NOT NULL REFERENCES user (id),
    application_id   BLOB NOT NULL REFERENCES application (id),
    session_id       BLOB REFERENCES session (id),
    type             TEXT NOT NULL CHECK (type IN ('sms_code', 'sms_link', 'oath', 'push', 'recovery')),
    purpose          TEXT NOT NULL
        CHECK (purpose IN ('login', 'register', 'gatekeeper', 'possession_pre', 'possession_bind', 'change')),
    authenticator    TEXT,
    phone_id         BLOB REFERENCES phone (id),
    token_id         BLOB REFERENCES token (id),
    digits           INTEGER NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('delivering', 'waiting', 'verified', 'denied', 'expired',
        'exhausted', 'superseded', 'failed', 'cancelled')),
    send_number      INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    expires_boot     BLOB,                       -- set by the modem's acknowledgement
    expires_boot_ms  INTEGER,
    state_mac        BLOB NOT NULL,
    binding_message  TEXT,
    created_at       INTEGER NOT NULL,
    decided_at       INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX challenge_open ON challenge (user_id, application_id) WHERE state IN ('delivering', 'waiting');

CREATE TABLE outbox (
    id               BLOB PRIMARY KEY,           -- UUIDv7: its order is the queue's order
    challenge_id     BLOB REFERENCES challenge (id),
    send_number      INTEGER,
    user_id          BLOB REFERENCES user (id),
    template         TEXT,                       -- with a challenge: the text is made when it is sent
    number           BLOB NOT NULL,              -- sealed
    body             BLOB,                       -- sealed; only without a challenge
    state            TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'delivered', 'failed',
        'expired', 'unknown')),
    modem            TEXT,
    parts            INTEGER NOT NULL DEFAULT 0,
    refs             TEXT NOT NULL DEFAULT '[]', -- JSON list of the modem's message references
    tries            INTEGER NOT NULL DEFAULT 0,
    error            TEXT,
    expires_boot     BLOB NOT NULL,
    expires_boot_ms  INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    sent_at          INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_state ON outbox (state, id);

CREATE TABLE limiter (
    user_id          BLOB NOT NULL REFERENCES user (id),
    application_id   BLOB NOT NULL REFERENCES application (id),
    failures         INTEGER NOT NULL,
    not_before_boot  BLOB,
    not_before_ms    INTEGER,
    locked_until     INTEGER,
    PRIMARY KEY (user_id, application_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE request (
    application_id   BLOB NOT NULL REFERENCES application (id),
    request_id       TEXT NOT NULL,
    fingerprint      BLOB NOT NULL,              -- HMAC in the HSM over what was asked
    answer           TEXT NOT NULL,
    expires_boot     BLOB NOT NULL,
    expires_boot_ms  INTEGER NOT NULL,
    PRIMARY KEY (application_id, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_expiry ON request (expires_boot_ms);

CREATE TABLE event (
    seq              INTEGER PRIMARY KEY,
    at               INTEGER NOT NULL,
    type             TEXT NOT NULL,
    actor_kind       TEXT NOT NULL,
    actor_id         TEXT NOT NULL,
    actor_role       TEXT NOT NULL,
    subject          TEXT NOT NULL,              -- JSON object, as hashed
    outcome          TEXT NOT NULL,
    reason           TEXT,
    prev_hash        BLOB NOT NULL,
    hash             BLOB NOT NULL
) STRICT;
CREATE INDEX event_type ON event (type, seq);
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are final'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are final'); END;
