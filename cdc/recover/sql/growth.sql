-- The last change an incident means, and how long ago that was by the org's newest time.
SELECT
    epoch_ms(max(committed_at)) AS last_ms,
    epoch_ms(max(committed_at)) FILTER (epoch_ms(committed_at) > coalesce($contained_at::BIGINT, 0)) AS last_after_ms
FROM temp.meant;
