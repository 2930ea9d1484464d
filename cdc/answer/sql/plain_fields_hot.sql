-- One record's hot field changes.
SELECT seq, field, value, known FROM store.hot_fields WHERE entity = $entity AND record_id = $id LIMIT $limit;
