-- The greatest ordinal of a change.
SELECT coalesce(max(seq), 0) FROM store.changes;
