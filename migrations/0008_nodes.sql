-- Several download services, revocations that reach each of them, and what an issued token stands upon.
-- See 0001 for what both engines share.

-- Of the key by which a node of the settings shows that it is one of ours. The key itself is stored
-- nowhere.
CREATE TABLE node_keys (
    name        TEXT   NOT NULL PRIMARY KEY,
    -- Its public address when it was added: the audience of its tokens.
    audience    TEXT   NOT NULL,
    -- Empty once it is removed.
    digest      TEXT   NOT NULL,
    made_at     BIGINT NOT NULL,
    removed_at  BIGINT
);

-- When a download service that told of deliveries was taken out; it is not heard any more then.
ALTER TABLE nodes ADD COLUMN removed_at BIGINT;

-- The audience of the token; empty for the one of [download], as before there were several.
ALTER TABLE issued_tokens ADD COLUMN node TEXT NOT NULL DEFAULT '';
-- What it is for; empty where that is not known.
ALTER TABLE issued_tokens ADD COLUMN path TEXT NOT NULL DEFAULT '';
-- The link that it was given out through; empty for its account's own.
ALTER TABLE issued_tokens ADD COLUMN link TEXT NOT NULL DEFAULT '';
-- The number of the link's terms that it was given out under.
ALTER TABLE issued_tokens ADD COLUMN terms BIGINT NOT NULL DEFAULT 0;
-- The key that signed it.
ALTER TABLE issued_tokens ADD COLUMN kid TEXT NOT NULL DEFAULT '';
CREATE INDEX issued_tokens_by_link ON issued_tokens (link);
CREATE INDEX issued_tokens_by_kid ON issued_tokens (kid);

ALTER TABLE link_tokens ADD COLUMN node TEXT NOT NULL DEFAULT '';

-- Raised whenever what was given out before must not stand any more.
ALTER TABLE links ADD COLUMN terms BIGINT NOT NULL DEFAULT 0;

UPDATE issued_tokens SET
    path = COALESCE((SELECT link_tokens.path FROM link_tokens WHERE link_tokens.jti = issued_tokens.jti), ''),
    link = COALESCE((SELECT recipients.link FROM link_tokens JOIN link_uses ON link_uses.id = link_tokens.use_id
        JOIN recipients ON recipients.id = link_uses.recipient WHERE link_tokens.jti = issued_tokens.jti), '');

-- What is to be revoked and at which node that is not known to be on record.
CREATE TABLE revocations (
    jti        TEXT   NOT NULL,
    -- An audience; empty for every node.
    node       TEXT   NOT NULL,
    marked_at  BIGINT NOT NULL,
    forget_at  BIGINT NOT NULL,
    PRIMARY KEY (jti, node)
);
CREATE INDEX revocations_by_node ON revocations (node, marked_at);
INSERT INTO revocations (jti, node, marked_at, forget_at)
    SELECT jti, '', 0, forget_at FROM issued_tokens WHERE revoke = 1;
DROP INDEX issued_tokens_to_revoke;

-- What all web apps on this database must have in common: which keys they hold, and who may read what.
CREATE TABLE instance (
    name   TEXT NOT NULL PRIMARY KEY,
    value  TEXT NOT NULL
);
