-- Records the meant changes created, deleted or brought back: the last of that, and what others did after it.
CREATE OR REPLACE TEMP TABLE lives AS
WITH last AS (
    SELECT
        entity, record_id, arg_max(kind, seq) AS kind, max(seq) AS seq,
        bool_or(kind = 'CREATE') AS is_new, arg_max(transaction_key, seq) AS transaction_key
    FROM temp.meant
    WHERE kind IN ('CREATE', 'DELETE', 'UNDELETE')
    GROUP BY entity, record_id
)
SELECT
    l.*,
    arg_max(c.kind::VARCHAR, c.seq) FILTER (c.kind IN ('CREATE', 'DELETE', 'UNDELETE')) AS later_kind,
    count(c.seq) AS later_changes,
    any_value(c.user_id) AS later_user
FROM last l
LEFT JOIN main.changes c ON c.entity = l.entity AND c.record_id = l.record_id AND c.seq > l.seq
    AND c.source IN ('pubsub', 'cometd')
    AND NOT EXISTS (SELECT 1 FROM temp.meant m WHERE m.seq = c.seq AND m.record_id = c.record_id)
GROUP BY ALL;
