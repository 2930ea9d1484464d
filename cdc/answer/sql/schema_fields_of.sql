-- The fields of an entity's events as their schemas have them; of several types the newest schema's.
SELECT f.path, arg_max(f.type, s.at_seq)
FROM store.schema_fields f JOIN store.schemas s USING (schema_id)
WHERE s.entity = $entity
GROUP BY f.path
ORDER BY f.path;
