-- Views of files in the browser. See 0001 for what both engines share.

-- Whether the files of a link with a limited number of downloads may be viewed as well. With unlimited
-- downloads they always may.
ALTER TABLE links ADD COLUMN viewable BIGINT NOT NULL DEFAULT 0;

-- How often the recipient viewed a file of the link, and when last.
ALTER TABLE recipients ADD COLUMN file_views BIGINT NOT NULL DEFAULT 0;
ALTER TABLE recipients ADD COLUMN file_viewed_at BIGINT;
