-- What a segment holds of fields, in its order; $fields and $changes are where they come from,
-- $broad where changes of every record stand. What spans.py needs
-- stands beside each: the record's number, the change's position in the order of folding within it (doubled, so
-- that a change of every record has a place between two), and the position of the last mark before it.
WITH
keyed AS (
    SELECT
        entity, record_id, seq, fold_rank,
        store.span_key(fold_seq, fold_rank, seq) AS key,
        fold_rank = 1 OR kind IN ('CREATE', 'UNDELETE') OR starts_with(kind, 'GAP_') AS is_mark
    FROM $changes
),
broad AS (
    SELECT entity, store.span_key(seq, 0, seq) AS key
    FROM $broad
    WHERE kind = 'GAP_OVERFLOW' OR contains(record_id, '*')
),
placed AS (
    SELECT
        k.*,
        2 * row_number() OVER (ORDER BY k.entity, k.record_id, k.key) AS position,
        b.key > coalesce(lag(k.key) OVER (PARTITION BY k.entity, k.record_id ORDER BY k.key), 0) AS is_behind_broad
    FROM keyed k
    ASOF LEFT JOIN broad b ON b.entity = k.entity AND k.key > b.key
),
marked AS (
    SELECT
        seq, record_id, position,
        min(position) OVER (PARTITION BY entity, record_id) AS record_no,
        coalesce(greatest(
            max(position) FILTER (is_mark) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
            max(position - 1) FILTER (is_behind_broad) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
        ), -1) AS mark,
        fold_rank
    FROM placed
    WINDOW w AS (PARTITION BY entity, record_id ORDER BY position)
)
SELECT
    f.* REPLACE (f.kind::VARCHAR AS kind),
    m.record_no, m.position, m.mark,
    NOT (f.fold_rank = 0 AND (f.kind = 'DELETE' OR starts_with(f.kind, 'GAP_'))) AS speaks
FROM $fields f
JOIN marked m ON m.seq = f.seq AND m.record_id = f.record_id AND m.fold_rank = f.fold_rank
ORDER BY m.position, f.field;
