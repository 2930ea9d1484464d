-- Everything up to the greatest sealed ordinal is held; the log is read from its beginning.
INSERT INTO store.checkpoint BY NAME SELECT max(last_seq) AS ordinal, '{}' AS offsets FROM store.seals HAVING max(last_seq) > 0;
