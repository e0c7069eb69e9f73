-- What a login replays: messages that no page got. A message that pages get at once, as
-- most do, never comes here, and its row is never touched for it; see waiting.go.
CREATE TABLE waiting (
	receiver TEXT NOT NULL,
	id       BLOB NOT NULL,
	company  TEXT NOT NULL, -- the message's
	PRIMARY KEY (receiver, id)
) STRICT, WITHOUT ROWID;

INSERT INTO waiting (receiver, id, company)
	SELECT receiver, id, company FROM messages WHERE delivered = 0 AND is_read = 0;

DROP INDEX messages_waiting;
ALTER TABLE messages DROP COLUMN delivered;

-- Who has read a message does not wait for it.
CREATE TRIGGER read_messages AFTER UPDATE OF is_read ON messages WHEN new.is_read = 1 BEGIN
	DELETE FROM waiting WHERE receiver = new.receiver AND id = new.id;
END;
CREATE TRIGGER deleted_messages AFTER DELETE ON messages BEGIN
	DELETE FROM waiting WHERE receiver = old.receiver AND id = old.id;
END;

-- Of messages with ids up to this one it is settled whether they wait. After a crash, all later ones do.
ALTER TABLE changes ADD COLUMN settled BLOB NOT NULL DEFAULT x'';
UPDATE changes SET settled = coalesce((SELECT max(id) FROM messages), x'');
