-- Changes that bear this restore's client name and are not its own.
SELECT c.seq, c.entity, c.record_id, c.kind::VARCHAR AS kind, c.user_id, c.committed_at
FROM main.changes c
WHERE c.client = 'sf-cdc-restore/' || $restore_id AND c.source IN ('pubsub', 'cometd')
  AND NOT EXISTS (SELECT 1 FROM answer.own_of($restore_id) o WHERE o.seq = c.seq AND o.record_id = c.record_id)
ORDER BY c.seq
LIMIT 1000;
