-- Users' own flows, the letters to them, links, and what an application gets when a flow has ended.

CREATE TABLE letter (
    id               BLOB PRIMARY KEY,
    user_id          BLOB NOT NULL REFERENCES user (id),
    kind             TEXT NOT NULL CHECK (kind IN ('sms-iak', 'oath')),
    token_id         BLOB REFERENCES token (id),
    delivery         TEXT NOT NULL CHECK (delivery IN ('post', 'hand')),
    state            TEXT NOT NULL CHECK (state IN ('ordered', 'rendered', 'delivered', 'consumed', 'expired',
        'burnt', 'cancelled', 'superseded', 'failed')),
    lang             TEXT NOT NULL,
    address          BLOB,                       -- sealed; given with the order, else the user's own
    ordered_by       TEXT NOT NULL,
    ordered_at       INTEGER NOT NULL,
    ordered_seq      INTEGER NOT NULL DEFAULT 0, -- the event of the order: what a reveal refers to
    rendered_at      INTEGER,                    -- steady
    handed_over_by   TEXT,
    handed_over_at   INTEGER,
    key_mac          BLOB,                       -- HMAC in the HSM; the key itself is in no store
    renders_failed   INTEGER NOT NULL DEFAULT 0,
    attempts         INTEGER NOT NULL DEFAULT 0,
    valid_until      INTEGER,
    file             TEXT,                       -- name in the output directory; erased with the file
    file_sha256      BLOB,
    pages            INTEGER,
    state_mac        BLOB NOT NULL,
    ended_at         INTEGER
) STRICT, WITHOUT ROWID;
-- One open letter for a user and kind (MOB-32).
CREATE UNIQUE INDEX letter_open ON letter (user_id, kind) WHERE state IN ('ordered', 'rendered', 'delivered');
CREATE INDEX letter_due ON letter (kind, id) WHERE state = 'ordered';
-- The last one to a user, for the gap between two letters (OATH-46).
CREATE INDEX letter_last ON letter (user_id, rendered_at);
CREATE INDEX letter_file ON letter (rendered_at) WHERE file IS NOT NULL;

CREATE TABLE flow (
    id               BLOB PRIMARY KEY,           -- 128 random bits
    application_id   BLOB NOT NULL REFERENCES application (id),
    user_id          BLOB REFERENCES user (id),
    definition       TEXT NOT NULL,
    asked            TEXT NOT NULL,              -- for counts; the data rules
    data             BLOB NOT NULL,              -- sealed, with id and application
    epoch            INTEGER NOT NULL,           -- counts the acts: of two at once, one wins
    code_hash        BLOB UNIQUE,                -- SHA-256 of the one-time code of the result
    created_at       INTEGER NOT NULL,
    expires_boot     BLOB NOT NULL,
    expires_boot_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_expiry ON flow (expires_boot_ms);

CREATE TABLE link (
    token_hash       BLOB PRIMARY KEY,           -- SHA-256 of 128 random bits
    challenge_id     BLOB NOT NULL REFERENCES challenge (id),
    send_number      INTEGER NOT NULL,
    opened_at        INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX link_challenge ON link (challenge_id);

-- What was sent to whom, for the limits that no new session evades (SMS-43). Rows older than a day go.
CREATE TABLE sms_sent (
    id               BLOB PRIMARY KEY,           -- the message
    user_id          BLOB,
    application_id   BLOB,
    number_lookup    BLOB NOT NULL,
    at               INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sms_sent_user ON sms_sent (user_id, at);
CREATE INDEX sms_sent_number ON sms_sent (number_lookup, at);
CREATE INDEX sms_sent_at ON sms_sent (at);

CREATE TABLE backchannel (
    id               BLOB PRIMARY KEY,           -- auth_req_id: 128 random bits
    channel          TEXT NOT NULL,
    application_id   BLOB NOT NULL REFERENCES application (id),
    challenge_id     BLOB REFERENCES challenge (id),
    polled_boot_ms   INTEGER,
    taken            INTEGER NOT NULL DEFAULT 0,
    created_at       INTEGER NOT NULL,
    expires_boot     BLOB NOT NULL,
    expires_boot_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What decides how a user logs in is under a MAC; users of before have none until it is first changed.
ALTER TABLE user ADD COLUMN account_mac BLOB;
-- How often a move to another method was put off.
ALTER TABLE user ADD COLUMN skips INTEGER NOT NULL DEFAULT 0;
