-- The changes of a segment that concern every record of an entity.
INSERT INTO store.sealed_broad BY NAME
SELECT $number AS number, * EXCLUDE (until_at, until_place, since_at, segment)
FROM read_parquet($changes)
WHERE kind = 'GAP_OVERFLOW' OR contains(record_id, '*');
