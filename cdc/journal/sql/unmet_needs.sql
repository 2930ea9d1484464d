-- What has to be read again and has not been, and is not being read: by no row of the record read after it,
-- no ended scan that began after it, and no job that is still open.
WITH
jobs AS (
    SELECT *
    FROM store.jobs
    WHERE kind IN ('baseline', 'reread')
    QUALIFY row_number() OVER (PARTITION BY job_id ORDER BY version DESC) = 1
),
meeting AS (
    SELECT entity, NULL AS record_id, after_ordinal, state FROM jobs WHERE len(record_ids) = 0
    UNION ALL
    SELECT entity, unnest(record_ids), after_ordinal, state FROM jobs WHERE len(record_ids) > 0
)
SELECT n.seq, n.entity, n.record_id, epoch_ms(n.anchor_at) AS anchor_ms, n.reason
FROM store.needs n
WHERE NOT EXISTS (
        FROM meeting m
        WHERE m.entity = n.entity AND (m.record_id IS NULL OR m.record_id = n.record_id)
          AND ((m.state = 'ended' AND m.after_ordinal >= n.seq) OR m.state = 'requested'
               OR (m.state = 'running' AND m.after_ordinal >= n.seq))
    )
  AND NOT EXISTS (
        FROM store.changes c
        WHERE c.entity = n.entity AND c.record_id = n.record_id AND c.fold_rank = 1 AND c.fold_seq >= n.seq
    )
ORDER BY n.seq, n.entity, n.record_id;
