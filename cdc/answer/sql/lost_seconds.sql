-- How long a stretch is lost or unknown and not repaired, by entity (or channel): from the earliest to the latest.
SELECT
    coalesce(entity, channel, 'everything') AS entity,
    epoch(max(coalesce(to_at, (SELECT max(passed_to) FROM store.channels), from_at)) - min(from_at)) AS seconds
FROM store.coverage_now
WHERE status IN ('lost', 'unknown')
GROUP BY ALL;
