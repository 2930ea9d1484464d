-- What else the same transactions did and is not meant: a cascade, or a reason to widen.
SELECT c.entity, c.kind::VARCHAR AS kind, count(DISTINCT c.record_id) AS records, count(*) AS changes
FROM main.changes c
SEMI JOIN temp.meant m ON m.transaction_key = c.transaction_key
WHERE c.source IN ('pubsub', 'cometd') AND c.seq >= (SELECT min(seq) FROM temp.meant) - 10000
  AND NOT EXISTS (SELECT 1 FROM temp.meant m WHERE m.seq = c.seq AND m.record_id = c.record_id)
GROUP BY ALL
ORDER BY records DESC, entity, kind;
