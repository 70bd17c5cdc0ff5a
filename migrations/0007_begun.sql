-- Who began a download through a link, so that they can go on with it. See 0001 for what both engines share.

-- The file's version when the button was pressed; empty where that is not known.
ALTER TABLE link_tokens ADD COLUMN version TEXT NOT NULL DEFAULT '';
-- The mark of the browser that the token was given to; empty for a program without cookies.
ALTER TABLE link_tokens ADD COLUMN visitor TEXT NOT NULL DEFAULT '';
-- Keyed digest of the client's address, another one for each recipient. Emptied when the download can't
-- be continued any more.
ALTER TABLE link_tokens ADD COLUMN client TEXT NOT NULL DEFAULT '';
UPDATE link_tokens SET visitor =
    COALESCE((SELECT link_uses.visitor FROM link_uses WHERE link_uses.id = link_tokens.use_id), '');
CREATE INDEX link_tokens_by_visitor ON link_tokens (visitor, path) WHERE visitor <> '';
CREATE INDEX link_tokens_by_client ON link_tokens (client, expires_at) WHERE client <> '';
