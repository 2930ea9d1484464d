-- One record's sealed field changes.
SELECT seq, field, value, known
FROM store.field_spans
WHERE entity = $entity AND record_id = $id AND segment IS NOT NULL
LIMIT $limit;
