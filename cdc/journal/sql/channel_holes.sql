-- Holes of whole channels that a scan was read after, as of a version; times as microseconds. The rule is that of
-- repair_by_scan.sql.
WITH latest AS (
    SELECT *
    FROM store.coverage
    WHERE entity IS NULL AND record_id IS NULL AND version < $version
    QUALIFY row_number() OVER (PARTITION BY stretch_id ORDER BY version DESC) = 1
)
SELECT
    stretch_id, channel, entity, record_id, epoch_us(from_at) AS from_at, epoch_us(to_at) AS to_at, status,
    reason, evidence, from_ordinal, to_ordinal
FROM latest
WHERE status IN ('unknown', 'lost')
  AND CASE
      WHEN to_ordinal IS NOT NULL THEN to_ordinal <= $after_ordinal
      WHEN status = 'unknown' THEN from_ordinal < $after_ordinal
      ELSE from_ordinal <= $after_ordinal AND to_at IS NOT NULL AND (
          (starts_with($job_id, 'repair-') AND make_timestamp($anchor_at) = from_at)
          OR epoch_us(to_at) + $margin <= $started_at
      )
  END
ORDER BY stretch_id;
