-- Which of some values a record's field was last given.
SELECT arg_max(value, seq)
FROM main.field_changes
WHERE entity = $entity AND record_id = $id AND field = $field AND value IN (SELECT unnest($ids::VARCHAR[]));
