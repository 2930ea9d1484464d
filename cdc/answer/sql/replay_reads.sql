-- Places of an entity's full states between two ordinals, and how many records each has.
SELECT fold_seq AS place, count(*) AS records
FROM store.changes
WHERE entity = $entity AND fold_rank > 0 AND fold_seq >= $first AND fold_seq < $end
  AND effective_at <= $to_t::TIMESTAMP
GROUP BY fold_seq
ORDER BY fold_seq;
