-- Segments whose rows no later manifest stands in for.
SELECT number
FROM store.seals
WHERE rows > 0 AND number NOT IN (SELECT unnest(replaces) FROM store.seals)
ORDER BY number;
