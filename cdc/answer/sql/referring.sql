-- Records that were ever given one of some values in one field: those that may refer to the records of these ids.
SELECT DISTINCT record_id
FROM main.field_changes
WHERE entity = $entity AND field = $field AND value IN (SELECT unnest($ids::VARCHAR[]))
ORDER BY record_id
LIMIT $limit;
