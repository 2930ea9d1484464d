-- Scans and re-reads, the newest first, in their latest version, with the share that is read and the seconds left
-- at the pace so far (org time).
WITH latest AS (
    SELECT *
    FROM store.jobs
    QUALIFY row_number() OVER (PARTITION BY job_id ORDER BY version DESC) = 1
)
SELECT
    job_id, kind, entity, state, rows,
    CASE WHEN rows_total >= 0 THEN rows_total END AS rows_total,
    len(record_ids) AS records_asked,
    started_at, finished_at,
    CASE
        WHEN state = 'running' AND rows > 0 AND rows_total > rows AND read_to > started_at
        THEN ceil((rows_total - rows) * (epoch(read_to) - epoch(started_at)) / rows)::BIGINT
    END AS seconds_left,
    reason, nullif(error, '') AS error
FROM latest
WHERE ($open IS NULL OR ($open = 1) = (state IN ('requested', 'running')))
  AND ($entity::VARCHAR IS NULL OR entity = $entity)
ORDER BY requested_at DESC NULLS LAST, job_id
LIMIT $limit;
