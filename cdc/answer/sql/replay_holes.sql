-- Stretches of an entity that hide changes and begin between two ordinals.
SELECT from_ordinal AS place, record_id
FROM answer.holes($entity)
WHERE from_ordinal >= $first AND from_ordinal < $end
ORDER BY from_ordinal;
