-- What became of the mails that bring recipients their links, as the owner of a link sees it, and the notices
-- that people have turned off. See 0001 for what both engines share.

-- The newest mail that is to bring the recipient the link; absent where none was asked for.
ALTER TABLE recipients ADD COLUMN mail TEXT;
-- What had become of that mail when the queue forgot it: its state, why it failed, and when it ended.
ALTER TABLE recipients ADD COLUMN mail_state TEXT;
ALTER TABLE recipients ADD COLUMN mail_fault TEXT;
ALTER TABLE recipients ADD COLUMN mail_ended_at BIGINT;
CREATE INDEX recipients_by_mail ON recipients (mail);
CREATE INDEX mails_by_jti ON mails (jti);

-- Mails that were queued before name their recipient in their details.
CREATE INDEX mails_by_recipient ON mails (recipient);
UPDATE recipients SET mail = (
    SELECT MAX(mails.id) FROM mails WHERE mails.recipient = recipients.email AND mails.kind = 'link'
    AND mails.details LIKE '%' || recipients.id || '%'
) WHERE email IS NOT NULL;
DROP INDEX mails_by_recipient;

-- Notices that their reader has turned off.
CREATE TABLE notices_off (
    account  TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- The kind of the mail.
    kind     TEXT   NOT NULL,
    since    BIGINT NOT NULL,
    PRIMARY KEY (account, kind)
);
