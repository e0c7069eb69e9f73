-- A row for each fact, with an index for finding it and its deletion later, takes
-- ten times the work of what is done here. Facts are appended as they come, a batch
-- a row, and read in full. When enough have gathered they become a generation: they
-- are sorted by message and user and cut into blocks, in which one seek finds them.
-- A generation goes as a whole, the oldest first.
CREATE TABLE batches (
	id    INTEGER PRIMARY KEY,
	noted INTEGER NOT NULL, -- Unix milliseconds
	facts INTEGER NOT NULL, -- how many
	body  BLOB    NOT NULL
) STRICT;

CREATE TABLE generations (
	id     INTEGER PRIMARY KEY,
	closed INTEGER NOT NULL, -- Unix milliseconds; nothing in it was noted later
	facts  INTEGER NOT NULL
) STRICT;

-- The index is apart from the bodies, which would make the steps of a seek long.
CREATE TABLE blocks (
	id         INTEGER PRIMARY KEY, -- ascends in a generation
	generation INTEGER NOT NULL,
	first      BLOB    NOT NULL,    -- message and user of its first fact
	body       BLOB    NOT NULL     -- fits into one page
) STRICT;

CREATE INDEX blocks_first ON blocks (generation, first);
