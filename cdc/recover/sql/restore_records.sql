-- A restore's records with what became of each; those that went wrong first.
SELECT entity, record_id, kind, result, error, new_record_id, fields, written_at
FROM main.restore_records
WHERE restore_id = $restore_id AND ($result = '' OR result = $result)
ORDER BY result IN ('restored', 'already'), entity, record_id, kind
LIMIT $limit;
