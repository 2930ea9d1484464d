-- Events behind one place and up to another that were put aside, and are of a schema.
SELECT seq, coalesce(channel, ''), coalesce(event_id, ''), replay_id, epoch_ms(received_at), payload
FROM store.quarantine
WHERE schema_id = $schema_id AND seq > $after AND seq <= $upto
  AND seq NOT IN (SELECT q.seq FROM store.quarantine q WHERE q.decoded_at IS NOT NULL)
  AND NOT starts_with(reason, 'the store refuses it: ')
ORDER BY seq
LIMIT $limit;
