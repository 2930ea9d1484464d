-- What a segment holds of each entity.
INSERT INTO store.sealed_entities
WITH
changes AS (
    SELECT
        entity, count(*) AS changes, min(effective_at) FILTER (fold_rank = 0) AS first_effective_at,
        max(effective_at) FILTER (fold_rank = 0) AS last_effective_at,
        coalesce(list(DISTINCT channel) FILTER (fold_rank = 0 AND channel IS NOT NULL), []) AS channels
    FROM read_parquet($changes)
    GROUP BY entity
),
fields AS (SELECT entity, count(*) AS field_rows FROM read_parquet($fields) GROUP BY entity)
SELECT $number, entity, changes, coalesce(field_rows, 0), first_effective_at, last_effective_at, channels
FROM changes LEFT JOIN fields USING (entity);
