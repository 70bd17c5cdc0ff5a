-- What administrators look through is in the order in which they read it. See 0001 for what both engines share.

CREATE INDEX links_by_time ON links (created_at DESC, id);
DROP INDEX links_by_account;
CREATE INDEX links_by_account ON links (account, created_at DESC, id);
CREATE INDEX receipts_by_redemption ON receipts (redeemed_at DESC, jti);
