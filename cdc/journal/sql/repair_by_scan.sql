-- An ended scan repairs the stretches of its entity (or of its records) that it was read after: it began
-- behind the place where something is hidden, and, where events of a whole range of time are lost, it counts
-- from the start of the range or began after its end. Versions from $version on do not count yet.
INSERT INTO store.coverage
WITH latest AS (
    SELECT *
    FROM store.coverage
    WHERE entity = $entity AND version < $version
    QUALIFY row_number() OVER (PARTITION BY stretch_id ORDER BY version DESC) = 1
)
SELECT
    stretch_id, $version, $place, org, channel, entity, record_id, from_at, coalesce(to_at, make_timestamp($read_to)),
    'repaired', reason, 'scan ' || $job_id, from_ordinal, make_timestamp($read_to)
FROM latest
WHERE (len($record_ids) = 0 OR list_contains($record_ids, record_id))
  AND (
      (status = 'unknown' AND from_ordinal < $after_ordinal)
      OR (
          status = 'lost' AND from_ordinal <= $after_ordinal AND to_at IS NOT NULL
          AND (make_timestamp($anchor_at) = from_at OR make_timestamp($anchor_at) >= to_at OR make_timestamp($started_at) >= to_at)
      )
  );
