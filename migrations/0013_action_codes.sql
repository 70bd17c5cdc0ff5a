-- The short codes that stand for action tokens in mails. Only a code's digest is kept: the row alone opens
-- nothing. The token is signed anew from the row when its code is presented, and verified and spent as ever.
CREATE TABLE action_codes (
    digest     TEXT   NOT NULL PRIMARY KEY,
    subject    TEXT   NOT NULL,
    purpose    TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    jti        TEXT   NOT NULL,
    issued_at  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX action_codes_by_end ON action_codes (expires_at);
