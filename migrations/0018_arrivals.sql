-- Links that are there before their files, what happens to the files afterwards, and the terms that a person
-- prefers. See 0001 for what both engines share.

-- Absent if its files were there first; otherwise uploading, complete, or abandoned.
ALTER TABLE links ADD COLUMN arrival TEXT;
-- How many files it waits for, and how many of them have arrived.
ALTER TABLE links ADD COLUMN files_expected BIGINT NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN files_arrived BIGINT NOT NULL DEFAULT 0;
-- Given up then, unless an upload for it still runs.
ALTER TABLE links ADD COLUMN arrival_until BIGINT;
-- 1 if its recipients are to be mailed once all files have arrived.
ALTER TABLE links ADD COLUMN mails_wait BIGINT NOT NULL DEFAULT 0;
CREATE INDEX links_uploading ON links (arrival_until) WHERE arrival = 'uploading';
CREATE INDEX links_whose_mails_wait ON links (id) WHERE mails_wait = 1;

-- The link that an upload is for, and which of its files it is.
ALTER TABLE uploads ADD COLUMN link TEXT;
ALTER TABLE uploads ADD COLUMN item BIGINT;
CREATE UNIQUE INDEX uploads_by_link ON uploads (link, item) WHERE link IS NOT NULL;

-- 1 if its files go to the trash when it is over, and when they did.
ALTER TABLE links ADD COLUMN delete_files BIGINT NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN files_deleted_at BIGINT;
CREATE INDEX links_whose_files_go ON links (id) WHERE delete_files = 1 AND files_deleted_at IS NULL;

-- With what a person's next link begins.
CREATE TABLE link_defaults (
    account       TEXT   NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    -- Absent means unlimited.
    uses          BIGINT,
    -- 1h, 1d, 7d, 30d or never
    expires       TEXT   NOT NULL,
    -- never, first or every
    notify        TEXT   NOT NULL,
    delete_files  BIGINT NOT NULL
);
