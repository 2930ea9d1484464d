-- Live segments in the order of the chain.
SELECT number, greatest(rows, field_rows), first_seq, last_seq, first_committed_at, last_committed_at
FROM store.seals
WHERE rows > 0 AND number NOT IN (SELECT unnest(replaces) FROM store.seals)
ORDER BY last_seq;
