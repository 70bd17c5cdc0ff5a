-- Second factors: codes from an app (RFC 6238). See 0001 for what both engines share.

CREATE TABLE second_factors (
    account       TEXT   NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    -- The secret follows from this and the link key, so it can't be read here.
    salt          TEXT   NOT NULL,
    -- When its owner showed that their app has the secret; until then nobody is asked for a code.
    confirmed_at  BIGINT,
    -- The step of the last code that was accepted. Neither it nor an earlier one is accepted again.
    last_step     BIGINT NOT NULL DEFAULT 0
);

-- What remains of the codes that replace a lost app, each of which works once.
CREATE TABLE recovery_codes (
    account  TEXT NOT NULL REFERENCES second_factors (account) ON DELETE CASCADE,
    -- A message authentication code, which only the link key can compute.
    digest   TEXT NOT NULL,
    PRIMARY KEY (account, digest)
);
