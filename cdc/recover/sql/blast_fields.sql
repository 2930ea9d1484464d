-- What was done, by entity, kind and field: distinct records, changes, the three most frequent values.
WITH
updates AS (
    SELECT entity, kind, field, count(DISTINCT record_id) AS records, count(*) AS changes,
        approx_top_k(coalesce(value, 'null'), 3) AS top_values
    FROM temp.meant_writes
    WHERE kind = 'UPDATE'
    GROUP BY entity, kind, field
),
lives AS (
    SELECT entity, kind, NULL AS field, count(DISTINCT record_id) AS records, count(*) AS changes, [] AS top_values
    FROM temp.meant
    WHERE kind <> 'UPDATE'
    GROUP BY entity, kind
)
FROM updates UNION ALL FROM lives
ORDER BY records DESC, entity, kind, field;
