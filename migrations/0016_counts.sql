-- What would have to be counted at each look at a link is kept, and what is looked for has an index of its
-- own: the cost of a look doesn't grow with the uses of a link. See 0001 for what both engines share.

-- The recipient's uses that are reserved; `taken` also counts those that are used.
ALTER TABLE recipients ADD COLUMN reserved BIGINT NOT NULL DEFAULT 0;
UPDATE recipients SET reserved = (
    SELECT COUNT(*) FROM link_uses WHERE link_uses.recipient = recipients.id AND link_uses.state = 'reserved'
);

-- The newest uses of a recipient, and of one of a recipient's visitors.
CREATE INDEX link_uses_open ON link_uses (recipient, made_at DESC, id) WHERE state <> 'released';
CREATE INDEX link_uses_open_by_visitor ON link_uses (recipient, visitor, made_at DESC, id)
    WHERE state <> 'released';
CREATE INDEX link_uses_released ON link_uses (changed_at) WHERE state = 'released';

-- What one visitor was given for one file, newest first.
DROP INDEX link_tokens_by_visitor;
DROP INDEX link_tokens_by_client;
CREATE INDEX link_tokens_by_visitor ON link_tokens (visitor, path, issued_at DESC, jti)
    WHERE visitor <> '' AND state <> 'released';
CREATE INDEX link_tokens_by_client ON link_tokens (client, path, issued_at DESC, jti)
    WHERE client <> '' AND state <> 'released';
-- Whose client is forgotten next.
CREATE INDEX link_tokens_clients ON link_tokens (expires_at) WHERE client <> '';
-- Which reserved tokens of a node have expired.
DROP INDEX link_tokens_by_state;
CREATE INDEX link_tokens_reserved ON link_tokens (node, expires_at) WHERE state = 'reserved';

-- Within a link, the receipt that was written last has the highest.
ALTER TABLE receipts ADD COLUMN change_number BIGINT NOT NULL DEFAULT 0;
DROP INDEX receipts_by_link;
CREATE INDEX receipts_by_change ON receipts (link, change_number);
CREATE INDEX receipts_by_time ON receipts (link, redeemed_at DESC, jti);
CREATE INDEX receipts_complete ON receipts (link) WHERE state = 'complete';
CREATE INDEX receipts_unfinished ON receipts (jti) WHERE state IN ('running', 'broken');

CREATE INDEX issued_tokens_by_end ON issued_tokens (forget_at);
CREATE INDEX revocations_by_end ON revocations (forget_at);
