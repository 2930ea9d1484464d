-- The last word on each record of a restore.
SELECT entity, record_id, kind, result, new_record_id
FROM store.restore_records
WHERE restore_id = $restore_id
QUALIFY row_number() OVER (PARTITION BY entity, record_id, kind ORDER BY version DESC, written_at DESC) = 1;
