-- Logins of devices that a person allows in a browser (RFC 8628). See 0001 for what both engines share.

CREATE TABLE device_logins (
    -- SHA-256 of the code that the device keeps.
    digest      TEXT   NOT NULL PRIMARY KEY,
    -- SHA-256 of the code that the person compares or types.
    user_digest TEXT   NOT NULL UNIQUE,
    -- What the device calls itself.
    name        TEXT   NOT NULL,
    address     TEXT   NOT NULL,
    -- The words for what its key may do, separated by spaces.
    scopes      TEXT   NOT NULL,
    -- waiting, allowed or refused
    state       TEXT   NOT NULL,
    -- Who allowed or refused it.
    account     TEXT   REFERENCES accounts (id) ON DELETE CASCADE,
    created_at  BIGINT NOT NULL,
    ends_at     BIGINT NOT NULL,
    -- When the device last asked.
    asked_at    BIGINT NOT NULL
);
CREATE INDEX device_logins_by_end ON device_logins (ends_at);
