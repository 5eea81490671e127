-- Enrolments: from the request for a factor to its binding (B.5.6), and who was vetted how. The identity of a person
-- stands apart from the events, sealed under the person's key, and can be erased (D-48).

CREATE TABLE enrolment (
    id                BLOB PRIMARY KEY,           -- UUIDv7: its order is that of the requests
    user_id           BLOB NOT NULL REFERENCES user (id),
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
    acted_at          INTEGER NOT NULL,           -- steady
    info              BLOB,                       -- sealed: what the request said of the user
    reason            TEXT,                       -- why it ended
    created_at        INTEGER NOT NULL,
    state_mac         BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX enrolment_code ON enrolment (code_mac) WHERE state IN ('code_issued', 'scheduled');
CREATE INDEX enrolment_user ON enrolment (user_id, id);
CREATE INDEX enrolment_open ON enrolment (acted_at) WHERE state NOT IN ('active', 'confirmed', 'rejected', 'expired',
    'cancelled', 'revoked');

-- Each step: who, in which role, when, where, with what result (BIND-41). The digest stands in the event as well.
CREATE TABLE enrolment_step (
    enrolment_id      BLOB NOT NULL REFERENCES enrolment (id),
    nth               INTEGER NOT NULL,
    activity          TEXT NOT NULL,
    at                INTEGER NOT NULL,
    actor_kind        TEXT NOT NULL,
    actor_id          TEXT NOT NULL,
    actor_role        TEXT NOT NULL,
    place             TEXT,
    result            TEXT NOT NULL,
    digest            BLOB NOT NULL,              -- SHA-256 of what went in
    remark            BLOB,                       -- sealed
    event_seq         INTEGER NOT NULL,
    PRIMARY KEY (enrolment_id, nth)
) STRICT, WITHOUT ROWID;

CREATE TABLE vetting_identity (
    enrolment_id      BLOB PRIMARY KEY REFERENCES enrolment (id),
    record            BLOB NOT NULL,              -- sealed
    recorded_at       INTEGER NOT NULL,           -- steady
    unused_at         INTEGER                     -- steady; the process ended without a binding
) STRICT, WITHOUT ROWID;
CREATE INDEX vetting_unused ON vetting_identity (unused_at) WHERE unused_at IS NOT NULL;
