-- A notice is one row, however many see it. The key keeps those that later
-- members see apart from those that they do not, so that neither a list nor a count
-- reads what was before a member's time.
CREATE TABLE notices (
	company   TEXT    NOT NULL, -- '' is everybody
	later     INTEGER NOT NULL,
	id        BLOB    NOT NULL,
	type      INTEGER NOT NULL,
	date      INTEGER NOT NULL, -- Unix seconds
	bare      INTEGER NOT NULL,
	forced    INTEGER NOT NULL,
	expires   INTEGER NOT NULL, -- Unix milliseconds, 0 is never
	replaced  INTEGER NOT NULL DEFAULT 0, -- only who had read it sees it
	category  TEXT    NOT NULL,
	collapse  TEXT    NOT NULL,
	sender_id TEXT    NOT NULL,
	sender    TEXT    NOT NULL,
	portrait  TEXT    NOT NULL,
	title     TEXT    NOT NULL,
	content   TEXT    NOT NULL,
	url       TEXT    NOT NULL,
	extra     TEXT,             -- a JSON object, or NULL
	data      TEXT,             -- likewise
	PRIMARY KEY (company, later, id)
) STRICT, WITHOUT ROWID;

-- The counts read nothing else of notices.
CREATE INDEX notices_counted ON notices (company, later, id, type, category, forced) WHERE replaced = 0;

CREATE UNIQUE INDEX notices_age ON notices (id);
CREATE INDEX notices_expires ON notices (expires) WHERE expires > 0;
CREATE INDEX notices_collapse ON notices (company, collapse) WHERE collapse <> '' AND replaced = 0;

-- The notices that a user has read. There is no row where a notice is unread.
CREATE TABLE notice_marks (
	receiver TEXT    NOT NULL,
	company  TEXT    NOT NULL, -- the notice's
	id       BLOB    NOT NULL,
	archived INTEGER NOT NULL,
	PRIMARY KEY (receiver, company, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX notice_marks_archived ON notice_marks (receiver, company, id) WHERE archived = 1;

-- Notices that are deleted and may have marks, and those marks. There may be as
-- many as there are users, so they are deleted little by little.
CREATE TABLE gone_notices (id BLOB NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE INDEX notice_marks_notice ON notice_marks (id);

CREATE TABLE members (
	receiver TEXT NOT NULL,
	company  TEXT NOT NULL,
	since    BLOB NOT NULL,
	heard    BLOB NOT NULL, -- pages got all notices up to this one
	PRIMARY KEY (receiver, company)
) STRICT, WITHOUT ROWID;

CREATE TABLE preferences (
	receiver   TEXT    NOT NULL,
	n          INTEGER NOT NULL, -- their order
	type       INTEGER NOT NULL, -- 0 is any
	category   TEXT    NOT NULL, -- '' is any
	off        INTEGER NOT NULL,
	mute_until INTEGER NOT NULL, -- Unix milliseconds, 0 is not at all
	PRIMARY KEY (receiver, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE revoked (
	receiver TEXT    NOT NULL PRIMARY KEY,
	before   INTEGER NOT NULL -- Unix seconds
) STRICT, WITHOUT ROWID;
