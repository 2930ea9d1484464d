-- What is missing and not repaired, a row for each entity or channel and kind: the earliest stretch, and how many.
SELECT
    entity, channel, min(from_at) AS from_at,
    CASE WHEN count(to_at) = count(*) THEN max(to_at) END AS to_at,
    status, arg_min(reason, from_at) AS reason, count(*) AS stretches
FROM store.coverage_now
WHERE status IN ('lost', 'unknown')
GROUP BY entity, channel, status
ORDER BY entity NULLS FIRST, channel;
