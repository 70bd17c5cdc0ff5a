-- What administrators look through is in the order in which they read it. See 0001 for what both engines share.

CREATE INDEX links_by_time ON links (created_at DESC, id);
DROP INDEX links_by_account;
CREATE INDEX links_by_account ON links (account, created_at DESC, id);
CREATE INDEX receipts_by_redemption ON receipts (redeemed_at DESC, jti);

-- How much was uploaded to each share, once a day.
CREATE TABLE share_sizes (
    -- Days since 1970.
    day    BIGINT NOT NULL,
    share  TEXT   NOT NULL,
    bytes  BIGINT NOT NULL,
    PRIMARY KEY (day, share)
);

-- Links that ended, by when.
CREATE INDEX links_by_end ON links (ends_at) WHERE ends_at IS NOT NULL;
CREATE INDEX links_by_withdrawal ON links (withdrawn_at) WHERE withdrawn_at IS NOT NULL;

-- Where a log that was cut begins: the last line that was cut, with a message authentication code that only the link
-- key can compute. There is one for each log.
CREATE TABLE log_checkpoints (
    log     TEXT   NOT NULL PRIMARY KEY,
    number  BIGINT NOT NULL,
    digest  TEXT   NOT NULL,
    mark    TEXT   NOT NULL
);
