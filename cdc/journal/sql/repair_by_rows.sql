-- A record that was read again after its stretch is known from there on. The first such row counts, whether or
-- not the end of a scan has repaired it too: in one batch the scan's end is read after its rows.
INSERT INTO store.coverage
WITH
open_stretches AS (
    SELECT *
    FROM store.coverage
    WHERE record_id IS NOT NULL AND status IN ('unknown', 'lost')
      AND stretch_id NOT IN (SELECT stretch_id FROM store.coverage WHERE status = 'repaired' AND version % 1000 = 1)
)
SELECT
    s.stretch_id, r.seq * 1000 + 1, r.seq, s.org, s.channel, s.entity, s.record_id, s.from_at,
    coalesce(s.to_at, r.read_to), 'repaired', s.reason, 'read again by ' || r.scan_id, s.from_ordinal, r.read_to,
    s.to_ordinal
FROM open_stretches s
JOIN batch_changes r
  ON r.entity = s.entity AND r.record_id = s.record_id AND r.fold_rank = 1
 AND r.fold_seq >= coalesce(s.to_ordinal, s.from_ordinal + 1)
QUALIFY row_number() OVER (PARTITION BY s.stretch_id ORDER BY r.seq) = 1;
