-- Enrolments: from the request for a factor to its binding (B.5.6), and who was vetted how. The identity of a person
-- stands apart from the events, sealed under the person's key, and can be erased (D-48).

CREATE TABLE enrolment (
    id                BLOB PRIMARY KEY,           -- UUIDv7: its order is that of the requests
    user_id           BLOB NOT NULL REFERENCES user (id),
    application_id    BLOB NOT NULL,              -- through whom it was asked for
    organisation      TEXT NOT NULL,              -- whose registration authorities may vet; empty for all of them
    factor_index      INTEGER NOT NULL,
    channel           TEXT NOT NULL,
    requested_by      TEXT NOT NULL,
    method            TEXT NOT NULL,
    target            TEXT NOT NULL,
    policy            TEXT NOT NULL,              -- version of the policy at the request
    state             TEXT NOT NULL,
    done              INTEGER NOT NULL,           -- a bit for each activity
    factor            TEXT,
    item              BLOB,                       -- the token or the phone that was shown
    eligible_at       INTEGER,                    -- steady
    code_mac          BLOB,                       -- HMAC in the HSM; the code itself is in no store
    code_until        INTEGER,                    -- steady
    vetter            BLOB,
    second_vetter     BLOB,
    vouched           TEXT,
    security_features INTEGER NOT NULL,
    level             TEXT,
    rule              INTEGER,                    -- version of the rule that gave the level
    acted_at          INTEGER NOT NULL,           -- steady
    reminded_at       INTEGER,                    -- steady; of the registration code
    info              BLOB,                       -- sealed: what the request said of the user, and its evidence
    reason            TEXT,                       -- why it ended
    created_at        INTEGER NOT NULL,
    mac               BLOB NOT NULL               -- over the row
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX enrolment_code ON enrolment (code_mac) WHERE state IN ('code_issued', 'scheduled');
CREATE INDEX enrolment_user ON enrolment (user_id, id);
CREATE INDEX enrolment_open ON enrolment (acted_at) WHERE state NOT IN ('active', 'confirmed', 'rejected', 'expired',
    'cancelled', 'revoked');
CREATE INDEX enrolment_active ON enrolment (acted_at) WHERE state IN ('active', 'confirmed');
-- What was shown is held for one enrolment until it is over (D-50).
CREATE UNIQUE INDEX enrolment_held ON enrolment (item) WHERE state NOT IN ('active', 'confirmed', 'rejected',
    'expired', 'cancelled', 'revoked');
CREATE INDEX enrolment_item ON enrolment (item);

-- Each step: who, in which role, when, where, with what result (BIND-41). The digest stands in the event as well.
CREATE TABLE enrolment_step (
    enrolment_id      BLOB NOT NULL REFERENCES enrolment (id),
    nth               INTEGER NOT NULL,           -- from 1
    event             TEXT NOT NULL,
    activity          TEXT,
    at                INTEGER NOT NULL,
    actor_kind        TEXT NOT NULL,
    actor_id          TEXT NOT NULL,
    actor_role        TEXT NOT NULL,
    place             TEXT,
    result            TEXT NOT NULL,
    digest            BLOB NOT NULL,              -- SHA-256 of what went in
    remark            BLOB,                       -- sealed
    event_seq         INTEGER NOT NULL,
    mac               BLOB NOT NULL,              -- over the row but the number of the event
    PRIMARY KEY (enrolment_id, nth)
) STRICT, WITHOUT ROWID;

CREATE TABLE vetting_identity (
    enrolment_id      BLOB PRIMARY KEY REFERENCES enrolment (id),
    record            BLOB NOT NULL,              -- sealed
    recorded_at       INTEGER NOT NULL,           -- steady
    unused_at         INTEGER,                    -- steady; the process ended without a binding
    ended_at          INTEGER                     -- steady; the binding was taken back
) STRICT, WITHOUT ROWID;
CREATE INDEX vetting_unused ON vetting_identity (unused_at) WHERE unused_at IS NOT NULL;
CREATE INDEX vetting_ended ON vetting_identity (ended_at) WHERE ended_at IS NOT NULL;

-- Times that registration authorities offer (D-55).
CREATE TABLE appointment (
    id                BLOB PRIMARY KEY,
    starts_at         INTEGER NOT NULL,           -- Unix milliseconds
    minutes           INTEGER NOT NULL,
    place             TEXT NOT NULL,              -- or the address of a video call
    organisation      TEXT NOT NULL,
    published_by      TEXT NOT NULL,
    enrolment_id      BLOB REFERENCES enrolment (id),
    mac               BLOB NOT NULL               -- over the row
) STRICT, WITHOUT ROWID;
CREATE INDEX appointment_free ON appointment (starts_at) WHERE enrolment_id IS NULL;
CREATE UNIQUE INDEX appointment_booked ON appointment (enrolment_id) WHERE enrolment_id IS NOT NULL;

-- Registration codes that nobody has, by who typed them: what holds a guesser up. Rows older than a day go.
CREATE TABLE enrolment_miss (
    actor             TEXT NOT NULL,
    at                INTEGER NOT NULL            -- steady
) STRICT;
CREATE INDEX enrolment_miss_actor ON enrolment_miss (actor, at);
