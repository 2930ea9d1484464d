-- What a field of a record held exactly before a change, and whether that is known.
SELECT value, known FROM record_before($entity, $record_id, $seq) WHERE field = $field
