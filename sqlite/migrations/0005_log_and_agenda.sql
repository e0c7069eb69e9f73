-- The log is messages, notices and activities, and these changes to what pages
-- may show already. What one identity is told of is four ranges.
CREATE TABLE revisions (
	owner   TEXT    NOT NULL, -- the user whose messages or marks changed; '' where notices did
	company TEXT    NOT NULL, -- the messages'
	place   BLOB    NOT NULL,
	kind    INTEGER NOT NULL,
	type    INTEGER NOT NULL, -- 0 is any; only where ids is NULL
	ids     BLOB,             -- twelve bytes each; NULL is all up to place
	PRIMARY KEY (owner, company, place, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX revisions_age ON revisions (place);

-- Back to where the log reaches: all up to and including place may be gone of a
-- user, or, where owner is '', of everybody.
CREATE TABLE floors (
	owner TEXT NOT NULL PRIMARY KEY,
	place BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE scheduled (
	id    BLOB    NOT NULL PRIMARY KEY,
	due   INTEGER NOT NULL, -- Unix milliseconds
	draft TEXT    NOT NULL  -- JSON
) STRICT, WITHOUT ROWID;

CREATE INDEX scheduled_due ON scheduled (due, id);

CREATE TABLE requests (
	key         TEXT    NOT NULL PRIMARY KEY,
	fingerprint BLOB    NOT NULL,
	answer      BLOB,
	made        INTEGER NOT NULL -- Unix milliseconds
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_made ON requests (made);
