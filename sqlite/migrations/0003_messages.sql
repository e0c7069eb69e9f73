ALTER TABLE messages ADD COLUMN category TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN collapse TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN expires INTEGER NOT NULL DEFAULT 0; -- Unix milliseconds, 0 is never
ALTER TABLE messages ADD COLUMN data TEXT;                          -- a JSON object, or NULL
ALTER TABLE messages ADD COLUMN archived INTEGER NOT NULL DEFAULT 0; -- and then read, too
ALTER TABLE messages ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;

-- What a new message with the same key replaces.
CREATE INDEX messages_collapse ON messages (receiver, company, collapse) WHERE collapse <> '' AND is_read = 0;

CREATE INDEX messages_expires ON messages (expires) WHERE expires > 0;

CREATE INDEX messages_archived ON messages (receiver, id, company) WHERE archived = 1;

-- Backends name a message by its id alone.
DROP INDEX messages_age;
CREATE UNIQUE INDEX messages_age ON messages (id);

ALTER TABLE activities ADD COLUMN changes TEXT; -- a JSON array, or NULL

-- Feeds of an operator and of a type of objects. What names neither costs nothing.
CREATE INDEX activities_operator ON activities (company, operator_id, id) WHERE operator_id <> '';
CREATE INDEX activities_type ON activities (company, object_type, id) WHERE object_type <> 0;
