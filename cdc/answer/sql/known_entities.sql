-- Entities with a change or a description.
SELECT DISTINCT entity FROM (SELECT entity FROM store.changes UNION ALL SELECT entity FROM store.descriptions)
ORDER BY entity;
