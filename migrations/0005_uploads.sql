-- Files that people put in, and what they throw away. See 0001 for what both engines share.

CREATE TABLE uploads (
    -- Opaque; stands in its address, and is the name of its file while it is on its way.
    id          TEXT   NOT NULL PRIMARY KEY,
    account     TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- The share that holds its bytes.
    share       TEXT   NOT NULL,
    -- The folder it goes to, and the name it is to have there; a part of another upload has no name.
    folder      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    -- Bytes; unknown as long as its sender has not said.
    size        BIGINT,
    -- Bytes that came while the size is unknown; they count in its place.
    received    BIGINT NOT NULL DEFAULT 0,
    -- The Upload-Metadata and the Upload-Concat as they came.
    metadata    TEXT   NOT NULL,
    concat      TEXT   NOT NULL,
    -- running, publishing while the file gets its name, done once it stands under it
    state       TEXT   NOT NULL,
    -- Bytes from here on wait for their checksum, and don't count if it never comes.
    unchecked_from  BIGINT,
    -- The file path, version and digest that it gets.
    path        TEXT,
    version     TEXT,
    sha256      TEXT,
    created_at  BIGINT NOT NULL,
    -- Forgotten by then, unless bytes come.
    expires_at  BIGINT NOT NULL
);
CREATE INDEX uploads_by_account ON uploads (account);
CREATE INDEX uploads_to_forget ON uploads (expires_at);

-- The SHA-256 of files, as long as their version is the one it was taken of.
CREATE TABLE file_digests (
    -- While the file lies in the trash: /{share}/.oncelink/trash/{id}, and what follows.
    path     TEXT NOT NULL PRIMARY KEY,
    share    TEXT NOT NULL,
    version  TEXT NOT NULL,
    -- base64, as `Repr-Digest` has it
    sha256   TEXT NOT NULL,
    -- Who put it in; counts against his quota.
    account  TEXT NOT NULL,
    size     BIGINT NOT NULL
);
CREATE INDEX file_digests_by_account ON file_digests (account);
CREATE INDEX file_digests_by_share ON file_digests (share);

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
CREATE INDEX trash_to_forget ON trash (forget_at);

-- Whoever weighs what is there against a quota holds this row, so that two don't both find room.
INSERT INTO generations (name, number) VALUES ('uploads', 0);
