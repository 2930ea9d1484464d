-- The newest known values of some fields before some changes, newest first in the order of folding.
SELECT w.entity, w.record_id, w.field, w.seq, f.value
FROM wanted w
JOIN store.fields f
  ON f.entity = w.entity AND f.record_id = w.record_id AND f.field = w.field AND f.seq < w.seq AND f.known
QUALIFY row_number() OVER (
    PARTITION BY w.entity, w.record_id, w.field, w.seq ORDER BY f.fold_seq DESC, f.fold_rank DESC, f.seq DESC
) <= $values_max
ORDER BY w.seq, f.fold_seq DESC, f.fold_rank DESC, f.seq DESC;
