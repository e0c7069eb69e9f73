-- Rows lie in the order in which they are read (WITHOUT ROWID): an inbox or a
-- feed is one range of one tree. Compared to a rowid table with an index on
-- (receiver, id), storing costs the same and listing an inbox half as much.
CREATE TABLE messages (
	receiver  TEXT    NOT NULL,
	id        BLOB    NOT NULL, -- twelve bytes
	company   TEXT    NOT NULL, -- '' where the sender named none
	type      INTEGER NOT NULL,
	date      INTEGER NOT NULL, -- Unix seconds
	is_read   INTEGER NOT NULL DEFAULT 0,
	delivered INTEGER NOT NULL DEFAULT 0,
	bare      INTEGER NOT NULL,
	sender_id TEXT    NOT NULL,
	sender    TEXT    NOT NULL,
	portrait  TEXT    NOT NULL,
	title     TEXT    NOT NULL,
	content   TEXT    NOT NULL,
	url       TEXT    NOT NULL,
	extra     TEXT,             -- a JSON object, or NULL
	PRIMARY KEY (receiver, id)
) STRICT, WITHOUT ROWID;

-- The counts read nothing but this.
CREATE INDEX messages_unread ON messages (receiver, company, type, id) WHERE is_read = 0;

-- What a login replays.
CREATE INDEX messages_waiting ON messages (receiver, id, company) WHERE delivered = 0 AND is_read = 0;

CREATE TABLE activities (
	company     TEXT    NOT NULL,
	id          BLOB    NOT NULL,
	date        INTEGER NOT NULL,
	operator_id TEXT    NOT NULL,
	operator    TEXT    NOT NULL,
	receiver    TEXT    NOT NULL,
	portrait    TEXT    NOT NULL,
	title       TEXT    NOT NULL,
	content     TEXT    NOT NULL,
	url         TEXT    NOT NULL,
	object_type INTEGER NOT NULL,
	object_id   TEXT    NOT NULL,
	extra       TEXT,
	PRIMARY KEY (company, id)
) STRICT, WITHOUT ROWID;

-- The history of an object.
CREATE INDEX activities_object ON activities (company, object_type, object_id, id);

-- Up to where a user has seen that there are messages, in each company.
CREATE TABLE seen (
	receiver TEXT NOT NULL,
	company  TEXT NOT NULL,
	last     BLOB NOT NULL,
	PRIMARY KEY (receiver, company)
) STRICT, WITHOUT ROWID;

-- One row. It grows with every change to any inbox, in the transaction of the
-- change, and is the version of all counts.
CREATE TABLE changes (n INTEGER NOT NULL) STRICT;
INSERT INTO changes (n) VALUES (0);
