-- How many of the marked records the journal has a change of; with a value, a change that set the field to it.
SELECT CASE
    WHEN $value = '' THEN (
        SELECT count(DISTINCT record_id) FROM main.changes
        WHERE list_contains($ids, record_id) AND source IN ('pubsub', 'cometd')
    )
    ELSE (
        SELECT count(DISTINCT record_id) FROM main.field_changes
        WHERE list_contains($ids, record_id) AND field = $path AND value = $value
    )
END;
