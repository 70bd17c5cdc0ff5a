-- Recipients who are added and removed later, hidden files, and the downloads that a notice covers. See 0001
-- for what both engines share.

-- When the recipient was added; absent for those who were named when the link was created.
ALTER TABLE recipients ADD COLUMN added_at BIGINT;
-- When the owner removed the recipient, whose address no longer works since then.
ALTER TABLE recipients ADD COLUMN removed_at BIGINT;
CREATE INDEX recipients_added ON recipients (added_at) WHERE added_at IS NOT NULL;

-- When a token that wasn't redeemed was handed over to another browser of its recipient; 0 for never.
ALTER TABLE link_tokens ADD COLUMN handed_at BIGINT NOT NULL DEFAULT 0;

-- 1 where hidden files in the link's folders are shared as well.
ALTER TABLE links ADD COLUMN hidden_files BIGINT NOT NULL DEFAULT 0;

-- The jti of the notice to the link's owner that covers this download; empty where there is none.
ALTER TABLE receipts ADD COLUMN notice TEXT NOT NULL DEFAULT '';
CREATE INDEX receipts_by_notice ON receipts (notice, last_at, jti) WHERE notice <> '';
