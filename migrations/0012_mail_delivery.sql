-- Mail by urgency and by recipient's domain, reserved for one attempt at a time, with what the server said.

-- 1 for what somebody is waiting for (a code, a reset, an activation), 0 for everything else.
ALTER TABLE mails ADD COLUMN urgent BIGINT NOT NULL DEFAULT 0;
-- The recipient's domain, in ASCII; empty for mails queued before this was kept.
ALTER TABLE mails ADD COLUMN domain TEXT NOT NULL DEFAULT '';
-- Until when one attempt has the mail to itself; renewed while the attempt runs.
ALTER TABLE mails ADD COLUMN reserved_until BIGINT;
-- Why the last attempt failed: server, operator, later, refused, mailbox.
ALTER TABLE mails ADD COLUMN fault TEXT;
-- How often the server refused this very mail.
ALTER TABLE mails ADD COLUMN refusals BIGINT NOT NULL DEFAULT 0;
-- What the server said when it took the mail, such as its queue id.
ALTER TABLE mails ADD COLUMN answer TEXT;
UPDATE mails SET urgent = 1 WHERE kind NOT IN ('link', 'taken');
DROP INDEX mails_by_state;
CREATE INDEX mails_by_state ON mails (state, urgent, next_at);
