-- What the meant changes concern, by entity: the ids they lie between and the first of them.
SELECT entity, min(record_id) AS lo, max(record_id) AS hi, min(seq) AS first_seq, count(DISTINCT record_id) AS records
FROM temp.meant
GROUP BY entity
ORDER BY entity;
