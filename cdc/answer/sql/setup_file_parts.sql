-- Parts of large files by their ids ($ids); the same id always has the same text.
SELECT record_id, any_value(value)
FROM main.field_changes
WHERE entity = 'MetadataFile' AND field = 'Part' AND list_contains($ids, record_id)
GROUP BY record_id;
