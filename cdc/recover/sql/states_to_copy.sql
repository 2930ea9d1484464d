-- Records of an entity that were there at a moment, with what is known of them.
SELECT record_id, fields
FROM answer.states($entity, NULL::VARCHAR, NULL::VARCHAR, $t::TIMESTAMP, $c::BIGINT)
WHERE status = 'present';
