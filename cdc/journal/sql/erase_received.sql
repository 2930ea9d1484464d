-- When the log took the newest change of some records.
SELECT max(received_at) FROM store.changes WHERE entity = $entity AND record_id IN (SELECT unnest($ids::VARCHAR[]));
