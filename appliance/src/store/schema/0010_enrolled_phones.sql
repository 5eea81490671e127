-- Phones and numbers that an enrolment holds: good for nothing but to be shown, until its binding takes effect.

ALTER TABLE registration ADD COLUMN enrolment_id BLOB REFERENCES enrolment (id);   -- whose phone it will be; under the MAC

-- 1: pending, in spite of its column `lifecycle`, whose CHECK knows no such word.
ALTER TABLE push_device ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1));

-- A number that is shown before it is anybody's. Gone with the end of the enrolment, whatever the end.
CREATE TABLE enrolment_number (
    enrolment_id     BLOB PRIMARY KEY REFERENCES enrolment (id),
    phone_id         BLOB NOT NULL,              -- the row that it will be
    number           BLOB NOT NULL,              -- sealed under the person's key
    number_lookup    BLOB NOT NULL,              -- HMAC in the HSM
    challenge_id     BLOB NOT NULL,              -- whose code goes to it
    proven_at        INTEGER,                    -- Unix milliseconds
    mac              BLOB NOT NULL               -- over the row
) STRICT, WITHOUT ROWID;
