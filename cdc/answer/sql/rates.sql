-- Changes in buckets of time, by entity, kind or user. $from_at < t <= $until; $entity '' is all.
-- A row without name when there is none, so that the span is told all the same.
WITH
counted AS (
    SELECT
        (epoch_ms(effective_at) - epoch_ms($from_at)) // $bucket_ms AS bucket,
        CASE $by WHEN 'entity' THEN entity WHEN 'kind' THEN kind ELSE coalesce(user_id, 'nobody named') END AS name,
        count(*) AS changes
    FROM main.changes
    WHERE effective_at > $from_at AND effective_at <= $until
      AND source IN ('pubsub', 'cometd', 'poll')
      AND ($entity = '' OR entity = $entity)
    GROUP BY ALL
),
largest AS (SELECT name FROM counted GROUP BY name ORDER BY sum(changes) DESC, name LIMIT $names_max),
named AS (
    SELECT bucket, CASE WHEN name IN (FROM largest) THEN name ELSE 'others' END AS name, sum(changes)::BIGINT AS changes
    FROM counted
    GROUP BY ALL
)
SELECT
    name, epoch_ms($from_at) + bucket * $bucket_ms AS at_ms, coalesce(changes, 0) AS changes,
    $bucket_ms AS bucket_ms, epoch_ms($from_at) AS from_ms, epoch_ms($until) AS until_ms
FROM (SELECT 1) LEFT JOIN named ON true
ORDER BY at_ms, name;
