-- For which organisations a role was given, and the picture that phones show of the appliance.

-- JSON object from role to list; a role that is not in it was given for all, as every one before.
ALTER TABLE operator ADD COLUMN scopes TEXT NOT NULL DEFAULT '{}';

CREATE TABLE mfa_logo (
    one              INTEGER PRIMARY KEY CHECK (one = 1),
    kind             TEXT NOT NULL CHECK (kind IN ('image/png', 'image/jpeg')),
    width            INTEGER NOT NULL,           -- in pixels
    height           INTEGER NOT NULL,
    picture          BLOB NOT NULL,
    set_at           INTEGER NOT NULL,
    mac              BLOB NOT NULL               -- over the row and the picture's SHA-256
) STRICT;
