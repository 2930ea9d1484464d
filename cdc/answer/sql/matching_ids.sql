-- Ids of records of an entity at a moment of which a condition is true, or unknown (matches NULL).
SELECT record_id, {condition} AS matches
FROM answer.states($entity, NULL::VARCHAR, NULL::VARCHAR, $t::TIMESTAMP, $c::BIGINT)
WHERE {condition} IS NOT false
LIMIT $limit;
