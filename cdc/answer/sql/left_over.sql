-- The records of which only the rule itself can tell; NULL: of none.
SELECT ids FROM answer.left_over($entity, $lo, $hi, $t::TIMESTAMP, $c::BIGINT);
