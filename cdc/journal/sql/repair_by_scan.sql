-- An ended scan repairs the stretches of its entity (or of its records) that it was read after: it began behind
-- the place where they end, or, where events of a whole range of time are lost, it was asked for because of the
-- range (`repair-…`, and counts from its start) or began surely after its end; $margin is that of the clocks, in
-- microseconds. The same rule decides which full states say something (cdc/answer, items.sql). Versions from
-- $version on do not count yet.
INSERT INTO store.coverage
WITH latest AS (
    SELECT *
    FROM store.coverage
    WHERE entity = $entity AND version < $version
    QUALIFY row_number() OVER (PARTITION BY stretch_id ORDER BY version DESC) = 1
)
SELECT
    stretch_id, $version, $place, org, channel, entity, record_id, from_at, coalesce(to_at, make_timestamp($read_to)),
    'repaired', reason, 'scan ' || $job_id, from_ordinal, make_timestamp($read_to), to_ordinal
FROM latest
WHERE (len($record_ids) = 0 OR list_contains($record_ids, record_id))
  AND status IN ('unknown', 'lost')
  AND CASE
      WHEN to_ordinal IS NOT NULL THEN to_ordinal <= $after_ordinal
      WHEN status = 'unknown' THEN from_ordinal < $after_ordinal
      ELSE from_ordinal <= $after_ordinal AND to_at IS NOT NULL AND (
          (starts_with($job_id, 'repair-') AND make_timestamp($anchor_at) = from_at)
          OR epoch_us(to_at) + $margin <= $started_at
      )
  END;
