-- One record at a moment, a row for each field.
FROM answer.record($entity, $id, $id, $t::TIMESTAMP, $c::BIGINT) ORDER BY field;
