-- For each entity what its coverage comes from: the last full read, its stream, the last time it was held against
-- the org, what this user may not read of it, and what no event of it carries.
WITH
latest_jobs AS (
    SELECT * FROM store.jobs QUALIFY row_number() OVER (PARTITION BY job_id ORDER BY version DESC) = 1
),
reads AS (
    SELECT
        entity,
        min(started_at) FILTER (state = 'ended' AND kind IN ('baseline', 'reread')) AS first_read_at,
        max(finished_at) FILTER (state = 'ended' AND kind IN ('baseline', 'reread')) AS last_read_at,
        arg_max(rows, finished_at) FILTER (state = 'ended' AND kind IN ('baseline', 'reread')) AS rows,
        max(finished_at) FILTER (state = 'ended' AND kind = 'verify') AS verified_at,
        arg_max(reason, finished_at) FILTER (state = 'ended' AND kind = 'verify') AS verified,
        arg_max(cursor, finished_at) FILTER (state = 'ended' AND kind = 'verify') AS verified_by
    FROM latest_jobs
    WHERE len(record_ids) = 0
    GROUP BY entity
),
running AS (
    SELECT entity, count(*) AS open_jobs FROM latest_jobs WHERE state IN ('requested', 'running') GROUP BY entity
),
described AS (
    SELECT entity, max(at_seq) AS at_seq, arg_max(unstreamed, at_seq) AS unstreamed
    FROM store.descriptions
    GROUP BY entity
),
newest_schemas AS (
    SELECT entity, arg_max(schema_id, at_seq) AS schema_id FROM store.schemas WHERE entity IS NOT NULL GROUP BY entity
),
hidden AS (
    SELECT n.entity, list_sort(list(f.path)) AS fields
    FROM newest_schemas n
    JOIN described d ON d.entity = n.entity
    JOIN store.schema_fields f ON f.schema_id = n.schema_id AND NOT f.is_alternative
    WHERE NOT EXISTS (
        SELECT 1 FROM store.readable_fields r
        WHERE r.entity = n.entity AND r.at_seq = d.at_seq
          AND (r.path = f.path OR starts_with(r.path, f.path || '.') OR starts_with(f.path, r.path || '.'))
    )
    GROUP BY n.entity
)
SELECT
    entity, first_read_at, last_read_at, rows, verified_at, verified, verified_by, open_jobs,
    unstreamed, hidden.fields AS hidden
FROM described
LEFT JOIN reads USING (entity)
LEFT JOIN running USING (entity)
LEFT JOIN hidden USING (entity)
WHERE $entity::VARCHAR IS NULL OR entity = $entity
ORDER BY entity;
