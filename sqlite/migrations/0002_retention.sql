-- The oldest of all inboxes and of all feeds, which retention deletes. New rows
-- come at the right end and old ones go at the left, so that both touch few
-- pages: six alternating runs of BenchmarkAddMessages with and without this
-- script showed no difference beyond their noise. Going from user to user instead
-- would find a handful of old rows only by asking for every user there is.
CREATE INDEX messages_age ON messages (id);
CREATE INDEX activities_age ON activities (id);

-- How many rows there are: kept in the row that most transactions write anyway.
ALTER TABLE changes ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE changes ADD COLUMN activities INTEGER NOT NULL DEFAULT 0;
UPDATE changes SET
	messages = (SELECT count(*) FROM messages),
	activities = (SELECT count(*) FROM activities);
