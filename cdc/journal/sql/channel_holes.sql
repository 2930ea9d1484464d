-- Holes of whole channels that a scan was read after, as of a version; times as microseconds.
WITH latest AS (
    SELECT *
    FROM store.coverage
    WHERE entity IS NULL AND record_id IS NULL AND version < $version
    QUALIFY row_number() OVER (PARTITION BY stretch_id ORDER BY version DESC) = 1
)
SELECT
    stretch_id, channel, entity, record_id, epoch_us(from_at) AS from_at, epoch_us(to_at) AS to_at, status,
    reason, evidence, from_ordinal
FROM latest
WHERE (status = 'unknown' AND from_ordinal < $after_ordinal)
   OR (
       status = 'lost' AND from_ordinal <= $after_ordinal AND to_at IS NOT NULL
       AND (
           make_timestamp($anchor_at) = from_at OR make_timestamp($anchor_at) >= to_at
           OR make_timestamp($started_at) >= to_at
       )
   )
ORDER BY stretch_id;
