-- The journal's org.
SELECT (SELECT org FROM store.changes LIMIT 1);
