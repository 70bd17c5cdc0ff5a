-- Archives. See 0001 for what both engines share.

-- The CRC-32 of the version of a file, which the headers of an archive contain.
CREATE TABLE file_checksums (
    path     TEXT NOT NULL PRIMARY KEY,
    -- As in a token's claim `version`.
    version  TEXT NOT NULL,
    crc32    BIGINT NOT NULL,
    made_at  BIGINT NOT NULL
);
CREATE INDEX file_checksums_by_time ON file_checksums (made_at);

-- Files, and folders with all their files, that are to get a checksum. The oldest is next.
CREATE TABLE checksum_queue (
    path         TEXT NOT NULL PRIMARY KEY,
    wanted_at    BIGINT NOT NULL,
    -- 1 if a file needs no checksum, because a link on a single file has no archive.
    folder_only  BIGINT NOT NULL
);

-- The manifests of archives, by their SHA-256.
CREATE TABLE manifests (
    digest   TEXT NOT NULL PRIMARY KEY,
    files    BIGINT NOT NULL,
    -- The length of the archive, and that of the manifest itself.
    size     BIGINT NOT NULL,
    bytes    BIGINT NOT NULL,
    used_at  BIGINT NOT NULL,
    body     TEXT NOT NULL
);
CREATE INDEX manifests_by_time ON manifests (used_at);
