-- What became of the tokens that were taken through links. See 0001 for what both engines share.

-- The newest that a download service has told of a jti.
CREATE TABLE receipts (
    jti          TEXT   NOT NULL PRIMARY KEY,
    link         TEXT   NOT NULL,
    node         TEXT   NOT NULL,
    -- Of two tellings the one with the higher number counts.
    sequence     BIGINT NOT NULL,
    redeemed_at  BIGINT NOT NULL,
    -- When the first byte left; absent until then.
    started_at   BIGINT,
    last_at      BIGINT NOT NULL,
    size         BIGINT NOT NULL,
    -- Different bytes of the file that have left.
    bytes        BIGINT NOT NULL,
    -- running, broken, complete or over
    state        TEXT   NOT NULL,
    resumed      BIGINT NOT NULL,
    -- Shortened as the operator has set.
    address      TEXT   NOT NULL
);
CREATE INDEX receipts_by_link ON receipts (link);

-- Each step of each delivery. Only ever added to; each line's digest covers the line before.
CREATE TABLE receipt_log (
    number   BIGINT NOT NULL PRIMARY KEY,
    at       BIGINT NOT NULL,
    jti      TEXT   NOT NULL,
    link     TEXT   NOT NULL,
    event    TEXT   NOT NULL,
    bytes    BIGINT NOT NULL,
    address  TEXT   NOT NULL,
    digest   TEXT   NOT NULL
);
-- How many lines there are: a missing last line is noticed by it.
INSERT INTO generations (name, number) VALUES ('receipts', 0);

-- Download services that tell of deliveries.
CREATE TABLE nodes (
    name        TEXT   NOT NULL PRIMARY KEY,
    -- It can't speak for tokens that were issued before this moment.
    told_since  BIGINT NOT NULL,
    -- Every redemption before this moment has been told.
    told_until  BIGINT NOT NULL,
    seen_at     BIGINT NOT NULL
);
