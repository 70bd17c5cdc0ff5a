-- Webhooks: addresses of programs that are told what happens. See 0001 for what both engines share.

CREATE TABLE webhooks (
    id              TEXT   NOT NULL PRIMARY KEY,
    account         TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    url             TEXT   NOT NULL,
    -- on, paused or disabled
    state           TEXT   NOT NULL,
    -- The secret follows from this and the link key, so it can't be read here.
    salt            TEXT   NOT NULL,
    -- That of the secret before, which is valid until then.
    former_salt     TEXT,
    former_until    BIGINT,
    created_at      BIGINT NOT NULL,
    -- Number of messages that wait, and of those that were not recorded because too many waited.
    waiting         BIGINT NOT NULL DEFAULT 0,
    missed          BIGINT NOT NULL DEFAULT 0,
    -- Failed attempts in a row, and when the first of them was.
    failures        BIGINT NOT NULL DEFAULT 0,
    failing_since   BIGINT,
    -- Nothing is sent before.
    next_at         BIGINT NOT NULL DEFAULT 0,
    -- A process sends to it until then.
    reserved_until  BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX webhooks_by_account ON webhooks (account, created_at);
CREATE INDEX webhooks_waiting ON webhooks (next_at) WHERE waiting > 0;

-- What each of them is told.
CREATE TABLE webhook_events (
    webhook  TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event    TEXT NOT NULL,
    PRIMARY KEY (webhook, event)
);

CREATE TABLE webhook_messages (
    id              TEXT   NOT NULL PRIMARY KEY,
    webhook         TEXT   NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    -- The order in which they are sent.
    sequence        BIGINT NOT NULL,
    event           TEXT   NOT NULL,
    -- What is sent, byte by byte.
    body            TEXT   NOT NULL,
    -- waiting, delivered or failed
    state           TEXT   NOT NULL,
    attempts        BIGINT NOT NULL DEFAULT 0,
    -- How often the receiver worked and refused this message: it gives way to others.
    refusals        BIGINT NOT NULL DEFAULT 0,
    queued_at       BIGINT NOT NULL,
    -- Not to be tried before.
    next_at         BIGINT NOT NULL,
    -- When the attempts began that go on now.
    begun_at        BIGINT,
    -- When it was delivered or given up.
    ended_at        BIGINT
);
CREATE UNIQUE INDEX webhook_messages_in_order ON webhook_messages (webhook, sequence);
CREATE INDEX webhook_messages_waiting ON webhook_messages (webhook, refusals, sequence) WHERE state = 'waiting';
CREATE INDEX webhook_messages_ended ON webhook_messages (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE webhook_attempts (
    message   TEXT   NOT NULL REFERENCES webhook_messages (id) ON DELETE CASCADE,
    number    BIGINT NOT NULL,
    tried_at  BIGINT NOT NULL,
    -- Of the response; absent if there was none.
    status    BIGINT,
    -- Why there was none.
    problem   TEXT   NOT NULL,
    millis    BIGINT NOT NULL,
    PRIMARY KEY (message, number)
);

-- When it was last told that a link was viewed.
CREATE TABLE webhook_views (
    link     TEXT   NOT NULL PRIMARY KEY REFERENCES links (id) ON DELETE CASCADE,
    told_at  BIGINT NOT NULL
);

-- The moment until which it was told which links expired: one row.
CREATE TABLE webhook_ends (
    id          BIGINT NOT NULL PRIMARY KEY,
    told_until  BIGINT NOT NULL
);
INSERT INTO webhook_ends (id, told_until) VALUES (1, 0);

-- The sequence of the newest message.
INSERT INTO generations (name, number) VALUES ('webhooks', 0);
