-- How an entity stands for a comparison with the org: how far the journal is, up to when the last look at every
-- field and at every id reaches, what is hidden and not repaired, and how many records are there.
WITH
looks AS (
    SELECT after_ordinal, started_at, kind <> 'verify' OR cursor = 'fields' AS is_whole
    FROM store.jobs
    WHERE entity = $entity AND state = 'ended' AND len(record_ids) = 0 AND kind IN ('baseline', 'reread', 'verify')
),
records AS (
    SELECT arg_max(kind, {'a': fold_seq, 'b': fold_rank, 'c': seq}) AS last_kind
    FROM store.changes
    WHERE entity = $entity AND kind <> 'GAP_OVERFLOW' AND NOT contains(record_id, '*')
    GROUP BY record_id
),
hidden AS (
    SELECT record_id
    FROM store.coverage_now
    WHERE status IN ('unknown', 'lost') AND (to_at IS NOT NULL OR status = 'unknown')
      AND (
          entity = $entity
          OR (entity IS NULL AND (channel IS NULL OR channel IN (SELECT s.channel FROM answer.stream_of($entity) s)))
      )
)
SELECT
    $entity AS entity,
    (SELECT coalesce(max(ordinal), 0) FROM store.checkpoint) AS ordinal,
    (SELECT min(s.passed_to) FROM answer.stream_of($entity) s) AS passed_to,
    (SELECT max(after_ordinal) FROM looks WHERE is_whole) AS fields_ordinal,
    (SELECT arg_max(started_at, after_ordinal) FROM looks WHERE is_whole) AS fields_at,
    (SELECT max(after_ordinal) FROM looks) AS ids_ordinal,
    (SELECT arg_max(started_at, after_ordinal) FROM looks) AS ids_at,
    (SELECT count(*) FROM records WHERE last_kind NOT IN ('DELETE', 'GAP_DELETE', 'ABSENT')) AS present,
    (SELECT count(*) FROM hidden WHERE record_id IS NULL) AS hidden_whole,
    (SELECT list(DISTINCT record_id) FROM hidden WHERE record_id IS NOT NULL) AS hidden_records;
