-- What the restore's transactions did beyond what was written: other records, and other fields that do not
-- follow by themselves (stamps left out), counted.
WITH
own AS MATERIALIZED (SELECT seq, entity, record_id, transaction_key FROM answer.own_of($restore_id)),
keys AS (SELECT DISTINCT transaction_key FROM own WHERE transaction_key IS NOT NULL),
span AS (SELECT min(seq) AS first_seq FROM own),
wanted AS (
    SELECT DISTINCT entity, field FROM (
        SELECT entity, unnest(map_keys(fields)) AS field FROM store.restore_records
        WHERE restore_id = $restore_id AND version = 1
    )
),
others AS (
    SELECT c.entity, c.kind::VARCHAR AS kind, c.record_id, c.seq,
        CASE WHEN c.kind = 'UPDATE' THEN f.field END AS field
    FROM main.changes c
    SEMI JOIN keys ON keys.transaction_key = c.transaction_key
    JOIN span ON c.seq >= span.first_seq - 10000
    LEFT JOIN main.field_changes f ON f.seq = c.seq AND f.record_id = c.record_id AND c.kind = 'UPDATE'
        AND f.field NOT IN ('LastModifiedDate', 'LastModifiedById', 'SystemModstamp')
    LEFT JOIN own ON own.seq = c.seq AND own.record_id = c.record_id
    LEFT JOIN wanted w ON w.entity = c.entity AND w.field = f.field
    WHERE c.source IN ('pubsub', 'cometd')
      AND (own.seq IS NULL OR (c.kind = 'UPDATE' AND f.field IS NOT NULL AND w.field IS NULL))
)
SELECT entity, kind, field, count(DISTINCT record_id) AS records, any_value(record_id) AS for_example,
    min(seq) AS first_seq
FROM others
GROUP BY ALL
ORDER BY records DESC, entity, kind, field
LIMIT 200;
