-- Schemas that events were put aside for and nobody has told, of events behind $after up to $upto.
SELECT schema_id, min(seq) AS seq, coalesce(max(entity), '') AS entity
FROM store.quarantine
WHERE seq > $after AND seq <= $upto AND schema_id <> ''
  AND schema_id NOT IN (SELECT s.schema_id FROM store.schemas s)
  AND schema_id NOT IN (
      SELECT unnest(record_ids) FROM store.jobs WHERE kind = 'schema'
      GROUP BY job_id, record_ids HAVING arg_max(state, version) = 'requested'
  )
GROUP BY schema_id
ORDER BY seq;
