-- What authorities say of applicants, and what has vouched for one already.

-- The organisation that somebody belongs to, as an operator has said.
CREATE TABLE membership (
    user_id          BLOB PRIMARY KEY REFERENCES user (id),
    organisation     TEXT NOT NULL,
    said_by          TEXT NOT NULL,
    said_at          INTEGER NOT NULL,           -- Unix milliseconds
    mac              BLOB NOT NULL               -- over the row
) STRICT, WITHOUT ROWID;

-- Assertions that have vouched for an enrolment, as marks of the HSM. Rows go once the assertion is too old anyway.
CREATE TABLE assertion_used (
    mark             BLOB PRIMARY KEY,
    until            INTEGER NOT NULL            -- steady
) STRICT, WITHOUT ROWID;
CREATE INDEX assertion_used_until ON assertion_used (until);

-- What is open at the desk.
CREATE INDEX enrolment_state ON enrolment (state, id);
