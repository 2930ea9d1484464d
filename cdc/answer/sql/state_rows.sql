-- The state of the records from lo to hi at a moment, with the names of the fields that are not known.
SELECT
    record_id, status, fields, unknown_fields, last_change_seq, known_since, inferred_since, complete,
    incomplete_reason
FROM answer.states($entity, $lo, $hi, $t::TIMESTAMP, $c::BIGINT)
ORDER BY record_id;
