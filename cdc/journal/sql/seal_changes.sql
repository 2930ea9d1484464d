-- What a segment holds of changes, in its order; $changes is where they come from. Each row says how long it is
-- the newest of its record: a later one counts from `until_at` by time, and behind `until_place` by the order.
-- `since_at` is the time the record was first heard of in this segment.
WITH keyed AS (SELECT *, store.span_key(fold_seq, fold_rank, seq) AS key FROM $changes)
SELECT
    * EXCLUDE (key) REPLACE (kind::VARCHAR AS kind),
    min(effective_at) OVER (later ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS until_at,
    lead(fold_seq) OVER later AS until_place,
    min(effective_at) OVER (later ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS since_at,
    $number AS segment
FROM keyed
WINDOW later AS (PARTITION BY entity, record_id ORDER BY key)
ORDER BY entity, record_id, seq, fold_rank;
