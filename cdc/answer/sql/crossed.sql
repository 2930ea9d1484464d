-- Stretches of an entity (of one record, and of all) that touch the time asked about. Of a hole of a whole channel
-- that is closed entity by entity, the part of this one stands for the whole.
SELECT record_id, from_at, to_at, status, reason
FROM answer.stretches($entity)
WHERE stretch_id || '/' || $entity NOT IN (SELECT part.stretch_id FROM answer.stretches($entity) part)
  AND from_at <= $t::TIMESTAMP AND from_ordinal < $c::BIGINT
  AND (record_id IS NULL OR record_id BETWEEN $lo AND $hi)
  AND ($since::TIMESTAMP IS NULL OR to_at IS NULL OR to_at >= $since::TIMESTAMP)
ORDER BY from_at
LIMIT $limit;
