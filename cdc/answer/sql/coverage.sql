-- Stretches as they stand now, and the live stretch of each channel. Stretches of single records that say the same
-- are one row (`records` counts them), or nobody could read it.
WITH
stretches AS (
    SELECT 0 AS place, entity, channel, record_id, from_at, to_at, status, reason, evidence, repaired_at
    FROM store.coverage_now
    UNION ALL
    SELECT 1, NULL, channel, NULL, live_from, NULL, 'live', 'recorded without a known hole', '', NULL
    FROM store.channels
    WHERE live_from IS NOT NULL
      AND channel NOT IN (SELECT c.channel FROM store.coverage_now c WHERE c.status = 'live' AND c.channel IS NOT NULL)
),
wanted AS (
    FROM stretches
    WHERE $entity::VARCHAR IS NULL OR entity = $entity
       OR (entity IS NULL AND (channel IS NULL OR channel IN (SELECT s.channel FROM answer.stream_of($entity) s)))
)
SELECT entity, channel, record_id, NULL::BIGINT AS records, from_at, to_at, status, reason, evidence, repaired_at
FROM (SELECT * FROM wanted WHERE record_id IS NULL)
UNION ALL
SELECT
    entity, any_value(channel), CASE WHEN count(*) = 1 THEN any_value(record_id) END, count(*), min(from_at),
    CASE WHEN count(to_at) = count(*) THEN max(to_at) END, status, reason,
    CASE WHEN count(DISTINCT evidence) = 1 THEN any_value(evidence) ELSE count(DISTINCT evidence) || ' reads' END,
    max(repaired_at)
FROM wanted
WHERE record_id IS NOT NULL
GROUP BY entity, status, reason
ORDER BY from_at, entity NULLS FIRST, status;
