-- What decides how a user logs in, and the number that codes go to, stand under MACs of the HSM. Rows of before are
-- sealed once, at the first start that reaches the HSM; the event `store.sealed` says that it is done.

ALTER TABLE user ADD COLUMN mac BLOB;            -- over the row but its counters; account_mac is the former one
ALTER TABLE phone ADD COLUMN mac BLOB;           -- over the row
CREATE INDEX user_unsealed ON user (id) WHERE mac IS NULL;
CREATE INDEX phone_unsealed ON phone (id) WHERE mac IS NULL;

-- Nobody can say who wrote a question that has no MAC, and one lives for minutes: who asked asks again.
DROP TABLE backchannel;
CREATE TABLE backchannel (
    id               BLOB PRIMARY KEY,           -- auth_req_id: 128 random bits
    channel          TEXT NOT NULL,
    application_id   BLOB NOT NULL REFERENCES application (id),
    challenge_id     BLOB NOT NULL REFERENCES challenge (id),
    polled_boot_ms   INTEGER,
    taken            INTEGER NOT NULL DEFAULT 0,
    created_at       INTEGER NOT NULL,
    expires_boot     BLOB NOT NULL,
    expires_boot_ms  INTEGER NOT NULL,
    mac              BLOB NOT NULL               -- over the row but the last poll
) STRICT, WITHOUT ROWID;
CREATE INDEX backchannel_expiry ON backchannel (expires_boot_ms);

-- The seal of a flow covers its definition too from now on. One lives for minutes: its user begins again.
DELETE FROM flow;
CREATE INDEX flow_application ON flow (application_id, created_at);
