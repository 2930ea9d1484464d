-- The newest description of each entity.
SELECT entity, arg_max(fields, at_seq) AS fields FROM store.descriptions GROUP BY entity ORDER BY entity;
