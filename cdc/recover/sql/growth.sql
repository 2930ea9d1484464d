-- The last change an incident means, and the last of those after it was said to be contained.
SELECT
    max(epoch_ms(committed_at)) AS last_ms,
    max(epoch_ms(committed_at)) FILTER (epoch_ms(committed_at) > coalesce($contained_at::BIGINT, 0)) AS last_after_ms
FROM temp.meant;
