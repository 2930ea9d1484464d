-- `records` and `fields` as diff.sql has them, in one pass over the field changes: where nothing is left to the rule
-- itself at either moment (folded.sql). A row may be the newest of its field at one of the moments, or at both.
WITH
a AS (
    FROM answer.plain_records($entity, $lo, $hi, $from_t::TIMESTAMP, $from_c::BIGINT)
    WHERE $ids::VARCHAR[] IS NULL OR record_id IN (SELECT unnest($ids::VARCHAR[]))
),
b AS (
    FROM answer.plain_records($entity, $lo, $hi, $to_t::TIMESTAMP, $to_c::BIGINT)
    WHERE $ids::VARCHAR[] IS NULL OR record_id IN (SELECT unnest($ids::VARCHAR[]))
),
records AS MATERIALIZED (
    SELECT
        row_number() OVER () AS record_no,
        coalesce(a.record_id, b.record_id) AS record_id,
        a.status AS before_status, b.status AS after_status,
        a.record_id IS NULL AS is_new, b.record_id IS NULL AS is_away,
        coalesce(a.is_whole, true) AND coalesce(b.is_whole, true) AS is_whole,
        false AS is_inferred,
        coalesce(a.passed_to, b.passed_to) AS passed_to,
        a.broken_place AS from_place, a.broken_seq AS from_seq, b.broken_place AS to_place, b.broken_seq AS to_seq
    FROM a FULL JOIN b ON a.record_id = b.record_id
),
lines AS (
    SELECT
        r.record_no, f.field, f.value, f.seq,
        f.fold_seq * 4 + CASE WHEN f.fold_rank > 0 THEN 2 ELSE 0 END AS place,
        f.effective_at <= $from_t::TIMESTAMP AND f.fold_seq < $from_c::BIGINT
            AND (f.until_at IS NULL OR f.until_at > $from_t::TIMESTAMP OR f.until_place >= $from_c::BIGINT) AS is_before,
        f.effective_at <= $to_t::TIMESTAMP AND f.fold_seq < $to_c::BIGINT
            AND (f.until_at IS NULL OR f.until_at > $to_t::TIMESTAMP OR f.until_place >= $to_c::BIGINT) AS is_after,
        f.known AND (place > r.from_place OR (place = r.from_place AND f.seq >= r.from_seq)) AS before_known,
        f.known AND (place > r.to_place OR (place = r.to_place AND f.seq >= r.to_seq)) AS after_known
    FROM store.field_spans f
    JOIN records r ON r.record_id = f.record_id
    WHERE f.entity = $entity AND ($lo::VARCHAR IS NULL OR f.record_id BETWEEN $lo AND $hi)
      AND (is_before OR is_after)
      AND (f.fold_rank > 0 OR NOT (f.kind = 'DELETE' OR starts_with(f.kind, 'GAP_')))
),
grouped AS (
    SELECT
        record_no, field,
        arg_max_null(value, place) FILTER (is_before) AS before,
        arg_max(before_known, place) FILTER (is_before) AS before_known,
        arg_max_null(value, place) FILTER (is_after) AS after,
        arg_max(after_known, place) FILTER (is_after) AS after_known,
        arg_max(seq, place) FILTER (is_after) AS seq
    FROM lines
    GROUP BY record_no, field
),
fields AS (
    SELECT
        r.record_id, g.field,
        CASE WHEN g.before_known THEN g.before END AS before, false AS before_inferred,
        CASE WHEN g.after_known THEN g.after END AS after, false AS after_inferred,
        g.seq,
        coalesce(g.before_known, r.is_new) AS before_known,
        coalesce(g.after_known, r.is_away) AS after_known
    FROM grouped g JOIN records r ON r.record_no = g.record_no
),
