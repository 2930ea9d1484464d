-- Stretches of an entity (of one record, and of all) that touch the time asked about.
SELECT record_id, from_at, to_at, status, reason
FROM answer.stretches($entity)
WHERE from_at <= $t::TIMESTAMP AND from_ordinal < $c::BIGINT
  AND (record_id IS NULL OR record_id BETWEEN $lo AND $hi)
  AND ($since::TIMESTAMP IS NULL OR to_at IS NULL OR to_at >= $since::TIMESTAMP)
ORDER BY from_at
LIMIT $limit;
