-- Totals of money fields: as they should be and as the incident left them; a deleted record's money is gone.
WITH
money AS (
    SELECT entity, d.field.path AS field
    FROM (
        SELECT entity, unnest(json_transform(arg_max(fields, at_seq), '[{"path": "VARCHAR", "type": "VARCHAR"}]')) AS field
        FROM store.descriptions
        GROUP BY entity
    ) d
    WHERE d.field."type" = 'currency'
),
written AS (
    SELECT entity, field, TRY_CAST(before AS DOUBLE) AS before, TRY_CAST(bad AS DOUBLE) AS after, record_id
    FROM temp.befores SEMI JOIN money USING (entity, field)
    WHERE before_known AND bad_known
),
deleted AS (
    SELECT f.entity, f.field, TRY_CAST(arg_max(f.value, f.seq) AS DOUBLE) AS before, 0 AS after, f.record_id
    FROM main.field_changes f
    SEMI JOIN money ON money.entity = f.entity AND money.field = f.field
    JOIN temp.lives l ON l.entity = f.entity AND l.record_id = f.record_id AND l.kind = 'DELETE' AND NOT l.is_new
    WHERE f.known AND f.seq < l.seq
    GROUP BY f.entity, f.field, f.record_id
)
SELECT entity, field, count(*) AS records, coalesce(sum(before), 0) AS before, coalesce(sum(after), 0) AS after
FROM (FROM written UNION ALL FROM deleted)
GROUP BY entity, field
ORDER BY abs(coalesce(sum(before), 0) - coalesce(sum(after), 0)) DESC;
