-- Files that people put in, and what they throw away. See 0001 for what both engines share.

CREATE TABLE uploads (
    -- Opaque; stands in its address.
    id          TEXT   NOT NULL PRIMARY KEY,
    account     TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- The folder it goes to, and the name it is to have there.
    folder      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    -- Bytes.
    size        BIGINT NOT NULL,
    -- The Upload-Metadata as it came.
    metadata    TEXT   NOT NULL,
    -- 1 for a part that is to be joined with others.
    partial     BIGINT NOT NULL,
    -- running, or done once the file stands under its name
    state       TEXT   NOT NULL,
    -- The file path that it got.
    path        TEXT,
    created_at  BIGINT NOT NULL,
    -- Forgotten by then, unless bytes come.
    expires_at  BIGINT NOT NULL
);
CREATE INDEX uploads_by_account ON uploads (account);
CREATE INDEX uploads_to_forget ON uploads (expires_at);

-- The SHA-256 of files, as long as their version is the one it was taken of.
CREATE TABLE file_digests (
    path     TEXT NOT NULL PRIMARY KEY,
    version  TEXT NOT NULL,
    -- base64, as `Repr-Digest` has it
    sha256   TEXT NOT NULL,
    -- Who put it in; counts against his quota.
    account  TEXT NOT NULL,
    size     BIGINT NOT NULL
);
CREATE INDEX file_digests_by_account ON file_digests (account);

-- What was thrown away and can be had back.
CREATE TABLE trash (
    id          TEXT   NOT NULL PRIMARY KEY,
    share       TEXT   NOT NULL,
    -- Where it was.
    path        TEXT   NOT NULL,
    is_folder   BIGINT NOT NULL,
    account     TEXT   NOT NULL,
    trashed_at  BIGINT NOT NULL,
    forget_at   BIGINT NOT NULL
);
CREATE INDEX trash_by_share ON trash (share, trashed_at);
