-- What was recorded up to a time, in the order to fold in, as `cdc detect --input` reads it.
SELECT
    c.entity, c.record_id, c.kind, epoch_ms(c.committed_at) AS committed_at, c.transaction_key, c.user_id,
    c.origin, c.client, c.changed_fields, c.nulled_fields, f."values", c.seq AS ordinal
FROM changes AS c
LEFT JOIN (
    SELECT seq, map(list(field), list(value)) AS "values"
    FROM field_changes
    WHERE known
    GROUP BY seq
) AS f ON f.seq = c.seq
WHERE c.committed_at <= $to AND c.source <> 'setup'
ORDER BY c.seq
