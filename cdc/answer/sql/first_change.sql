-- When a record was first heard of; NULL: never.
SELECT min(effective_at) FROM store.changes WHERE entity = $entity AND record_id = $id;
