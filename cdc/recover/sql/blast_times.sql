-- How many records were changed when: about 40 equal stretches from the first meant change to the last.
WITH
span AS (
    SELECT min(epoch_ms(committed_at)) AS first_ms,
        greatest(1000, ceil((max(epoch_ms(committed_at)) - min(epoch_ms(committed_at)) + 1) / 40000.0) * 1000)::BIGINT
            AS step_ms
    FROM temp.meant
)
SELECT
    make_timestamp((span.first_ms + n * span.step_ms) * 1000) AS "at", span.step_ms // 1000 AS seconds,
    count(DISTINCT record_id) AS records
FROM (SELECT record_id, (epoch_ms(committed_at) - span.first_ms) // span.step_ms AS n FROM temp.meant, span), span
GROUP BY ALL
ORDER BY "at";
