-- The state of one record at a moment, by the rule itself: nothing is there to be read off. As state_rows.sql.
SELECT
    record_id, status, fields, unknown_fields, last_change_seq, known_since, inferred_since, complete,
    incomplete_reason
FROM answer.states_of_one($entity, $lo, $hi, $t::TIMESTAMP, $c::BIGINT);
