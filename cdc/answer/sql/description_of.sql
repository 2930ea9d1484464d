-- The newest description of one entity, as JSON.
SELECT arg_max(fields, at_seq) FROM store.descriptions WHERE entity = $entity;
