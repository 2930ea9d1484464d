-- The first change of the transaction in which each of the records of `wanted` was deleted, of those meant.
SELECT w.record_id, min(c.seq) AS cut
FROM wanted w
JOIN lives l ON l.record_id = w.record_id
JOIN main.changes c ON c.transaction_key = l.transaction_key
GROUP BY w.record_id;
