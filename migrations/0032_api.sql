-- Keys for programs, and what they asked for. See 0001 for what both engines share.

CREATE TABLE api_keys (
    id            TEXT   NOT NULL PRIMARY KEY,
    account       TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- SHA-256 of the key, which is stored nowhere.
    digest        TEXT   NOT NULL UNIQUE,
    name          TEXT   NOT NULL,
    -- Its first characters, by which people recognize it in a list.
    hint          TEXT   NOT NULL,
    -- The words for what it may do, separated by spaces.
    scopes        TEXT   NOT NULL,
    -- The names of the shares that it is limited to, separated by slashes; NULL for all.
    shares        TEXT,
    -- The networks from which it may be used, separated by spaces; NULL for all.
    networks      TEXT,
    ends_at       BIGINT,
    created_at    BIGINT NOT NULL,
    -- Accurate to a minute.
    last_used_at  BIGINT,
    last_address  TEXT   NOT NULL,
    -- When it was revoked, which is final.
    revoked_at    BIGINT
);
CREATE INDEX api_keys_by_account ON api_keys (account, created_at DESC, id);

-- Requests with an Idempotency-Key, and what they made.
CREATE TABLE api_requests (
    -- SHA-256 of the account, the address and the Idempotency-Key.
    digest  TEXT   NOT NULL PRIMARY KEY,
    -- SHA-256 of the body.
    body    TEXT   NOT NULL,
    -- What is needed to give the same answer again, which is never a secret.
    made    TEXT   NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX api_requests_by_time ON api_requests (at);
