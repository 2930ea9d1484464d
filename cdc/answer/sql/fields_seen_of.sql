-- The fields that changes of an entity named.
SELECT DISTINCT field FROM main.field_changes WHERE entity = $entity ORDER BY field;
