-- Links to put files in. See 0001 for what both engines share.

CREATE TABLE file_requests (
    id           TEXT   NOT NULL PRIMARY KEY,
    -- Who asks for files. What arrives counts against their quota.
    account      TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    title        TEXT   NOT NULL,
    note         TEXT   NOT NULL,
    -- The file path of the folder that the files go to; follows it when it is renamed or moved.
    folder       TEXT   NOT NULL,
    -- Most bytes and files that all guests may send together.
    max_bytes    BIGINT NOT NULL,
    max_files    BIGINT NOT NULL,
    ends_at      BIGINT NOT NULL,
    -- Argon2id; without one, the address is enough.
    password     TEXT,
    -- 1: the account gets an email when files arrive.
    notify       BIGINT NOT NULL,
    -- SHA-256 of the code in its address.
    code_digest  TEXT   NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    -- When it was stopped for good.
    stopped_at   BIGINT
);
CREATE INDEX file_requests_by_account ON file_requests (account, created_at);
CREATE INDEX file_requests_by_end ON file_requests (ends_at);

-- The people who send files, one row for each ticket.
CREATE TABLE request_guests (
    id           TEXT   NOT NULL PRIMARY KEY,
    request      TEXT   NOT NULL REFERENCES file_requests (id) ON DELETE CASCADE,
    -- SHA-256 of the ticket; NULL once it is no longer valid.
    digest       TEXT   UNIQUE,
    -- What they call themselves; may be empty.
    name         TEXT   NOT NULL,
    made_at      BIGINT NOT NULL
);
CREATE INDEX request_guests_by_request ON request_guests (request, made_at);

-- The files that have arrived.
CREATE TABLE request_files (
    -- The id of the upload, whose own row goes after a day.
    upload       TEXT   NOT NULL PRIMARY KEY,
    request      TEXT   NOT NULL REFERENCES file_requests (id) ON DELETE CASCADE,
    guest        TEXT   NOT NULL,
    -- The name and folders that the guest gave it, and the path that it got.
    name         TEXT   NOT NULL,
    path         TEXT   NOT NULL,
    size         BIGINT NOT NULL,
    arrived_at   BIGINT NOT NULL,
    -- 1 once the email about it is queued, or none is wanted.
    told         BIGINT NOT NULL,
    -- The jti of that email.
    mail         TEXT   NOT NULL DEFAULT ''
);
CREATE INDEX request_files_by_request ON request_files (request, arrived_at);
CREATE INDEX request_files_by_guest ON request_files (guest, arrived_at);
CREATE INDEX request_files_to_tell ON request_files (request, guest) WHERE told = 0;
CREATE INDEX request_files_by_mail ON request_files (mail) WHERE mail <> '';

-- The guest who sends an upload, and their request; empty for an account's own.
ALTER TABLE uploads ADD COLUMN guest TEXT NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN request TEXT NOT NULL DEFAULT '';
-- How the guest names the file: its name, after the folders that it was in.
ALTER TABLE uploads ADD COLUMN sent_as TEXT NOT NULL DEFAULT '';
CREATE INDEX uploads_by_request ON uploads (request) WHERE request <> '';
