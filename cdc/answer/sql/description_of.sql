-- The newest description of one entity, as JSON, and its place.
SELECT arg_max(fields, at_seq), max(at_seq) FROM store.descriptions WHERE entity = $entity;
