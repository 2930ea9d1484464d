-- Records of an entity that events behind an ordinal were about; a wildcard or an overflow is about every record.
SELECT DISTINCT record_id
FROM store.changes
WHERE entity = $entity AND fold_rank = 0 AND seq > $ordinal
ORDER BY record_id;
