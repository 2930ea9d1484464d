-- The first change of a record at or after a time: where an alert begins for this record.
SELECT min(seq) FROM changes
WHERE entity = $entity AND record_id = $record_id AND committed_at >= $first
