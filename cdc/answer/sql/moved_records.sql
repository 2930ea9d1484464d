-- Records of an entity that anything behind an ordinal was about, an event or a row that was read; a wildcard or an
-- overflow is about every record.
SELECT DISTINCT record_id
FROM store.changes
WHERE entity = $entity AND seq > $ordinal
ORDER BY record_id;
