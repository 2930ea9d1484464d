-- Where a stretch ends in the order, for those that are known by their place: an event that could not be read,
-- ordinals that left the log, what a verification found. NULL: known by its times alone.
ALTER TABLE store.coverage ADD COLUMN to_ordinal BIGINT;

UPDATE store.coverage SET to_ordinal = from_ordinal + 1
WHERE starts_with(stretch_id, 'unread-') OR starts_with(stretch_id, 'gap-');

UPDATE store.coverage SET to_ordinal = seq WHERE starts_with(stretch_id, 'missing-');

-- The fields of an entity that no event carries (JSON list of their paths).
ALTER TABLE store.descriptions ADD COLUMN unstreamed VARCHAR;
