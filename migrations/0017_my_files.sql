-- People's own files. See 0001 for what both engines share.

-- Accounts that were deleted and whose own folder has not been moved to the trash yet.
CREATE TABLE departed_accounts (
    account  TEXT NOT NULL PRIMARY KEY
);
