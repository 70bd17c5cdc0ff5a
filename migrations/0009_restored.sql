-- How a database that was put back from a backup is noticed. See 0001 for what both engines share.

-- One row, made when the database is opened first.
CREATE TABLE database_standing (
    -- Tells this database from any other; made with it.
    id           TEXT   NOT NULL PRIMARY KEY,
    -- Rises whenever it is noticed that the database was put back.
    epoch        BIGINT NOT NULL,
    -- Rises soon after anything was written.
    position     BIGINT NOT NULL,
    -- When that was noticed last, and the moment of the last deed that was on record then.
    restored_at  BIGINT,
    restored_to  BIGINT
);

-- Each start of the web app begins one, so that a database that was put back and went on is found out.
CREATE TABLE database_branches (
    from_position  BIGINT NOT NULL PRIMARY KEY,
    name           TEXT   NOT NULL
);

-- Where the used-token stores of the download services stood when they told last.
CREATE TABLE store_standings (
    id        TEXT   NOT NULL,
    -- What was recorded between two openings of the store.
    branch    TEXT   NOT NULL,
    epoch     BIGINT NOT NULL,
    position  BIGINT NOT NULL,
    seen_at   BIGINT NOT NULL,
    PRIMARY KEY (id, branch)
);

-- Why a link waits, where its owner has not paused it: restored
ALTER TABLE links ADD COLUMN paused_why TEXT;
