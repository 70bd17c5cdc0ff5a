-- Links that people make for others. See 0001 for what both engines share.

CREATE TABLE links (
    -- Opaque; the `link` claim of the tokens that are taken through it.
    id            TEXT   NOT NULL PRIMARY KEY,
    account       TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    title         TEXT   NOT NULL,
    -- What the recipient reads.
    note          TEXT   NOT NULL,
    -- How often each recipient may take it; absent means as often as he likes.
    uses          BIGINT,
    -- Absent means never.
    ends_at       BIGINT,
    -- PHC string; absent where none is asked for.
    password      TEXT,
    -- 1 where a code is mailed to the recipient before he can take it.
    mailed_code   BIGINT NOT NULL,
    -- Mail to the owner: never, first or every
    notify        TEXT   NOT NULL,
    paused        BIGINT NOT NULL,
    withdrawn_at  BIGINT,
    created_at    BIGINT NOT NULL
);
CREATE INDEX links_by_account ON links (account, created_at);

-- What a link is on: files, or folders with all that is beneath them.
CREATE TABLE link_files (
    link      TEXT   NOT NULL REFERENCES links (id) ON DELETE CASCADE,
    position  BIGINT NOT NULL,
    path      TEXT   NOT NULL,
    PRIMARY KEY (link, position)
);

-- Whom it is for, each with an address and a counter of his own.
CREATE TABLE recipients (
    id           TEXT   NOT NULL PRIMARY KEY,
    link         TEXT   NOT NULL REFERENCES links (id) ON DELETE CASCADE,
    -- Absent: whoever has the address.
    email        TEXT,
    -- Of the code in `/l/{code}`, which is derived and stored nowhere.
    code_digest  TEXT   NOT NULL UNIQUE,
    -- Uses that are reserved or used. Raised before a token is issued, in one step with the check.
    taken        BIGINT NOT NULL,
    looks        BIGINT NOT NULL,
    looked_at    BIGINT,
    -- The order in which they were named.
    position     BIGINT NOT NULL,
    -- Of the code that was mailed last: what it is derived from, until when it counts, and how often
    -- somebody tried. The code itself is stored nowhere.
    mailed_jti    TEXT,
    mailed_until  BIGINT,
    mailed_tries  BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX recipients_by_link ON recipients (link, position);

-- One use: one press of the button, and for a link on several files each of them once.
CREATE TABLE link_uses (
    id          TEXT   NOT NULL PRIMARY KEY,
    recipient   TEXT   NOT NULL REFERENCES recipients (id) ON DELETE CASCADE,
    -- Of the secret by which the browser that began it goes on with it.
    visitor     TEXT   NOT NULL,
    -- reserved, used or released
    state       TEXT   NOT NULL,
    made_at     BIGINT NOT NULL,
    -- When it came into that state.
    changed_at  BIGINT NOT NULL
);
CREATE INDEX link_uses_by_recipient ON link_uses (recipient, visitor);

-- The tokens of a use.
CREATE TABLE link_tokens (
    jti         TEXT   NOT NULL PRIMARY KEY,
    use_id      TEXT   NOT NULL REFERENCES link_uses (id) ON DELETE CASCADE,
    path        TEXT   NOT NULL,
    size        BIGINT NOT NULL,
    -- reserved, used or released
    state       TEXT   NOT NULL,
    issued_at   BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX link_tokens_by_use ON link_tokens (use_id);
CREATE INDEX link_tokens_by_state ON link_tokens (state, expires_at);
