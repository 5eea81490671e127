-- Registrations of phones, the phones, pushes and recovery codes. Secrets are wrapped by the HSM; what says how a phone is
-- reached is sealed under the person's key; a recovery code is kept as an HMAC alone.

CREATE TABLE registration (
    id               BLOB PRIMARY KEY,           -- 128 random bits
    user_id          BLOB NOT NULL REFERENCES user (id),
    application_id   BLOB NOT NULL REFERENCES application (id),
    kind             TEXT NOT NULL CHECK (kind IN ('combined', 'push', 'oath')),
    message_id       TEXT UNIQUE,                -- what the phone repeats; none for codes alone
    state            TEXT NOT NULL CHECK (state IN ('created', 'waiting', 'storing', 'registered', 'verified',
        'timed_out', 'cancelled', 'failed')),
    codes            TEXT NOT NULL CHECK (codes IN ('none', 'unread', 'read')),
    prepared         BLOB,                       -- sealed, with wrapped secrets; erased at the end
    reason           TEXT,
    device_id        BLOB,                       -- what it became
    token_id         BLOB,
    challenge_id     BLOB,                       -- the push that shows possession once more
    until_boot       BLOB NOT NULL,
    until_boot_ms    INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    mac              BLOB NOT NULL               -- over the row
) STRICT, WITHOUT ROWID;
CREATE INDEX registration_user ON registration (user_id, created_at);
CREATE INDEX registration_open ON registration (until_boot_ms) WHERE state IN ('created', 'waiting');

CREATE TABLE push_device (
    id               BLOB PRIMARY KEY,
    serial           TEXT NOT NULL UNIQUE,
    user_id          BLOB NOT NULL REFERENCES user (id),
    lifecycle        TEXT NOT NULL CHECK (lifecycle IN ('active', 'suspended', 'revoked')),
    record           BLOB,                       -- wrapped secret; gone once revoked
    record_mac       BLOB NOT NULL,
    mechanism        TEXT NOT NULL,              -- the id that the app chose
    device           BLOB,                       -- sealed: address, name, system, labels; gone once revoked
    pair_id          BLOB REFERENCES token (id), -- the OATH half
    loa              REAL NOT NULL,
    refreshed        BLOB NOT NULL,              -- fingerprints of the last new addresses
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    used_at          INTEGER,                    -- last approval; not under the MAC
    mac              BLOB NOT NULL               -- over the row but the last approval
) STRICT, WITHOUT ROWID;
CREATE INDEX push_device_user ON push_device (user_id);
CREATE UNIQUE INDEX push_device_mechanism ON push_device (mechanism) WHERE lifecycle <> 'revoked';

CREATE TABLE recovery_set (
    id               BLOB PRIMARY KEY,
    user_id          BLOB NOT NULL REFERENCES user (id),
    marks            BLOB NOT NULL,              -- an HMAC per code
    used             TEXT NOT NULL,              -- a digit per code
    superseded       INTEGER NOT NULL CHECK (superseded IN (0, 1)),
    created_at       INTEGER NOT NULL,
    mac              BLOB NOT NULL               -- over the row
) STRICT, WITHOUT ROWID;
-- One set that is good, for a user (COMB-14).
CREATE UNIQUE INDEX recovery_live ON recovery_set (user_id) WHERE superseded = 0;

ALTER TABLE challenge ADD COLUMN device_id BLOB REFERENCES push_device (id);
ALTER TABLE challenge ADD COLUMN message_id TEXT;
ALTER TABLE challenge ADD COLUMN message BLOB;   -- the random part of message_id
ALTER TABLE challenge ADD COLUMN nonce BLOB;
ALTER TABLE challenge ADD COLUMN number INTEGER;
ALTER TABLE challenge ADD COLUMN set_id BLOB REFERENCES recovery_set (id);
CREATE UNIQUE INDEX challenge_message ON challenge (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX challenge_push ON challenge (user_id, created_at) WHERE type = 'push';

-- Push messages on their way. One that a phone fetches stays until its challenge has ended.
CREATE TABLE push_message (
    id               TEXT PRIMARY KEY,           -- the message's name
    challenge_id     BLOB NOT NULL REFERENCES challenge (id),
    user_id          BLOB NOT NULL REFERENCES user (id),
    device_id        BLOB NOT NULL REFERENCES push_device (id),
    sealed           BLOB NOT NULL,              -- the signed message, with its name, challenge and phone
    state            TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'kept', 'failed')),
    tries            INTEGER NOT NULL DEFAULT 0,
    expires_boot     BLOB NOT NULL,
    expires_boot_ms  INTEGER NOT NULL,
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX push_message_queue ON push_message (created_at) WHERE state = 'queued';
CREATE INDEX push_message_device ON push_message (device_id);
CREATE INDEX push_message_challenge ON push_message (challenge_id);
