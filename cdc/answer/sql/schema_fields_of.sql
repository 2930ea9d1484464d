-- The fields of an entity's events as the schemas told behind a place have them; of several types the newest
-- schema's. Of a field that may have two shapes nothing is said.
SELECT f.path, arg_max(f.type, s.at_seq)
FROM store.schema_fields f JOIN store.schemas s USING (schema_id)
WHERE s.entity = $entity AND s.at_seq > $behind AND NOT f.is_alternative
GROUP BY f.path
ORDER BY f.path;
