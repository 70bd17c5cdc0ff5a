-- What is carried to its end, and what is done once only. See 0001 for what both engines share.

-- An act on files that was begun: written before the disk is touched, removed in the transaction that
-- records what was done. One that is left was cut off; the next start finishes or undoes it.
CREATE TABLE intents (
    id       TEXT   NOT NULL PRIMARY KEY,
    -- The word that the audit log has for the act.
    deed     TEXT   NOT NULL,
    -- File paths; what lies in the trash is named by its id.
    source   TEXT   NOT NULL,
    target   TEXT   NOT NULL,
    -- The source's inode as text; empty where the act needs none.
    inode    TEXT   NOT NULL,
    -- Id in the trash; empty where the act has nothing to do with it.
    trash    TEXT   NOT NULL,
    -- Who does it, as the audit log has it.
    actor    TEXT   NOT NULL,
    who      TEXT   NOT NULL,
    address  TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    -- 1 when another process found that nothing had been done; a process that does it all the same says so.
    undone   BIGINT NOT NULL
);

-- Who sends an upload, for the audit log.
ALTER TABLE uploads ADD COLUMN who TEXT NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN address TEXT NOT NULL DEFAULT '';

-- Forms that made something, and where their senders were led: the same form again leads there, too.
CREATE TABLE sent_forms (
    -- Digest of the form, with the one-time id that each page gives its forms.
    digest    TEXT   NOT NULL PRIMARY KEY,
    location  TEXT   NOT NULL,
    -- The flash message that goes with it; may be empty.
    note      TEXT   NOT NULL,
    at        BIGINT NOT NULL
);
CREATE INDEX sent_forms_by_time ON sent_forms (at);

-- The notice to the owner of a link that was queued last, and how many downloads it tells of.
CREATE TABLE owner_notices (
    link       TEXT   NOT NULL PRIMARY KEY REFERENCES links (id) ON DELETE CASCADE,
    mail       TEXT   NOT NULL,
    downloads  BIGINT NOT NULL,
    -- When it is sent at the earliest.
    next_at    BIGINT NOT NULL
);

-- What counts against a quota is summed up from the index alone.
DROP INDEX file_digests_by_account;
DROP INDEX file_digests_by_share;
CREATE INDEX file_digests_by_account ON file_digests (account, size);
CREATE INDEX file_digests_by_share ON file_digests (share, size);
CREATE INDEX uploads_by_share ON uploads (share, state);
