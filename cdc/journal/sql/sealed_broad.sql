-- The changes of a segment that concern every record of an entity.
INSERT INTO store.sealed_broad
SELECT $number, seq, entity, record_id, kind::store.kind, effective_at
FROM read_parquet($changes)
WHERE kind = 'GAP_OVERFLOW' OR contains(record_id, '*');
