-- Entities of which a description or a schema tells the fields.
SELECT entity FROM store.descriptions
UNION
SELECT entity FROM store.schemas WHERE entity IS NOT NULL
ORDER BY entity;
