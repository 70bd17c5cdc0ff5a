-- Both engines read this file, so it keeps to what they share: TEXT, and BIGINT for whole seconds
-- and for 0 or 1. Digests and ids are base64url text.

CREATE TABLE accounts (
    id          TEXT   NOT NULL PRIMARY KEY,
    email       TEXT   NOT NULL,
    -- What two spellings of one address share; see `Email::key`.
    email_key   TEXT   NOT NULL UNIQUE,
    name        TEXT   NOT NULL,
    admin       BIGINT NOT NULL,
    disabled    BIGINT NOT NULL,
    -- PHC string; absent until the person has chosen a password.
    password    TEXT,
    created_at  BIGINT NOT NULL,
    last_login_at  BIGINT
);

CREATE TABLE account_groups (
    account  TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE sessions (
    -- Of the id in the cookie, which is stored nowhere.
    digest        TEXT   NOT NULL PRIMARY KEY,
    account       TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at    BIGINT NOT NULL,
    last_seen_at  BIGINT NOT NULL
);

CREATE INDEX sessions_by_account ON sessions (account);

-- One counter that every change of accounts or end of a session raises, so that a process knows
-- from one small read whether what it cached still holds.
CREATE TABLE generations (
    name    TEXT   NOT NULL PRIMARY KEY,
    number  BIGINT NOT NULL
);

INSERT INTO generations (name, number) VALUES ('accounts', 1);
