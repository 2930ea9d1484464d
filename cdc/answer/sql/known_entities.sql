-- Entities with a change or a description.
SELECT DISTINCT entity FROM (SELECT entity FROM store.entities UNION ALL SELECT entity FROM store.descriptions)
ORDER BY entity;
