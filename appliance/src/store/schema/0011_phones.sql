-- When a push was made, and when it was denied, on the boot clock: the limits on pushes (A14, D-42) run on it, so that a
-- clock that is set moves none of them.
ALTER TABLE challenge ADD COLUMN asked_boot BLOB;
ALTER TABLE challenge ADD COLUMN asked_boot_ms INTEGER;
ALTER TABLE challenge ADD COLUMN denied_boot_ms INTEGER;
-- A push of the former schema counts from its latest end on: rather longer than not at all. An approved one ends no count.
UPDATE challenge SET asked_boot = expires_boot, asked_boot_ms = expires_boot_ms,
    denied_boot_ms = CASE state WHEN 'denied' THEN expires_boot_ms END
WHERE type = 'push' AND state <> 'verified';
DROP INDEX challenge_push;
CREATE INDEX challenge_push ON challenge (user_id, asked_boot, asked_boot_ms) WHERE type = 'push';
