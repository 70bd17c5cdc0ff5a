-- Accounts that people make, activate and mend themselves. See 0001 for what both engines share.

-- When the owner of the address showed that mail to it reaches him; absent until then.
ALTER TABLE accounts ADD COLUMN activated_at BIGINT;
UPDATE accounts SET activated_at = created_at WHERE password IS NOT NULL;
-- An account that is not activated by then is forgotten; absent where an operator made it.
ALTER TABLE accounts ADD COLUMN forget_at BIGINT;
-- Digest of the secret behind the forms of the browser that signed up.
ALTER TABLE accounts ADD COLUMN signup_browser TEXT;
-- When it last took a file. Written with each token, so that issuing and disabling wait for each other.
ALTER TABLE accounts ADD COLUMN last_download_at BIGINT;
CREATE INDEX accounts_to_forget ON accounts (forget_at);

-- The newest action link of each purpose; every older one has ended by it.
CREATE TABLE action_links (
    account  TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    purpose  TEXT NOT NULL,
    jti      TEXT NOT NULL,
    PRIMARY KEY (account, purpose)
);

-- The address that an account is to have once somebody there confirms it.
CREATE TABLE address_changes (
    account       TEXT   NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    email         TEXT   NOT NULL,
    requested_at  BIGINT NOT NULL
);

-- Sessions learn where they are. Those from before can't say, so everybody logs in once more.
DROP TABLE sessions;
CREATE TABLE sessions (
    -- Of the id in the cookie, which is stored nowhere.
    digest        TEXT   NOT NULL PRIMARY KEY,
    -- What pages call it by; worth nothing as a cookie.
    name          TEXT   NOT NULL UNIQUE,
    account       TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at    BIGINT NOT NULL,
    last_seen_at  BIGINT NOT NULL,
    -- 1 on a device to remember: it does not end by disuse.
    remembered    BIGINT NOT NULL,
    -- Where it was last used, and by which browser in its own words.
    address       TEXT   NOT NULL,
    agent         TEXT   NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account);

-- Which accounts, or sessions of theirs, changed under which number of `generations`.
CREATE TABLE account_changes (
    number   BIGINT NOT NULL PRIMARY KEY,
    account  TEXT   NOT NULL
);

-- Mail to send. It holds no link: links are made when a mail is sent.
CREATE TABLE mails (
    id           TEXT   NOT NULL PRIMARY KEY,
    kind         TEXT   NOT NULL,
    recipient    TEXT   NOT NULL,
    -- The jti of the link in it, so that a second attempt sends the same link.
    jti          TEXT   NOT NULL,
    -- What else the mail says, as JSON.
    details      TEXT   NOT NULL,
    -- waiting, sent or failed
    state        TEXT   NOT NULL,
    attempts     BIGINT NOT NULL,
    queued_at    BIGINT NOT NULL,
    -- Not to be tried before; a process that takes a mail moves it on for as long as it may need.
    next_at      BIGINT NOT NULL,
    -- When it was sent or given up.
    ended_at     BIGINT,
    -- What the mail server said last.
    problem      TEXT
);
CREATE INDEX mails_by_state ON mails (state, next_at);

-- Who did what when, from where. Only ever added to; each line's digest covers the line before.
CREATE TABLE audit (
    number   BIGINT NOT NULL PRIMARY KEY,
    at       BIGINT NOT NULL,
    -- An account's id, or a word for who has none.
    actor    TEXT   NOT NULL,
    -- The actor's e-mail address at that time.
    who      TEXT   NOT NULL,
    action   TEXT   NOT NULL,
    -- What it was done to, in words that outlive it.
    subject  TEXT   NOT NULL,
    address  TEXT   NOT NULL,
    digest   TEXT   NOT NULL
);
CREATE INDEX audit_by_actor ON audit (actor);
-- How many lines there are: a missing last line is noticed by it.
INSERT INTO generations (name, number) VALUES ('audit', 0);

-- Download tokens that may still matter, so that disabling an account can revoke them.
CREATE TABLE issued_tokens (
    jti         TEXT   NOT NULL PRIMARY KEY,
    account     TEXT   NOT NULL,
    -- When neither the token nor a transfer begun with it can go on.
    forget_at   BIGINT NOT NULL,
    -- 1 when it is to be revoked, and the download service does not know yet.
    revoke      BIGINT NOT NULL
);
CREATE INDEX issued_tokens_by_account ON issued_tokens (account);
CREATE INDEX issued_tokens_to_revoke ON issued_tokens (revoke);
