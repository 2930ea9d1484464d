-- One record's changes up to a moment, behind a place in the order.
FROM answer.history($entity, $id, $t::TIMESTAMP, $c::BIGINT)
WHERE place > $after::HUGEINT
ORDER BY place
LIMIT $limit;
