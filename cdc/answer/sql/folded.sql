-- Every record's fields at a moment, as exact.sql has them: read off where a segment says how long each row is the
-- newest (store.field_spans), and folded by the rule itself only where that does not say enough.
--
-- A record is `plain`, and its rows can be read off, if nothing but order decides about it: no lost or unreadable
-- events concern it, no full state whose read a change that does not count may have reached, none that is not
-- settled, none that it is gone. Its fields then have the value of the last row that counts, unless a mark behind
-- it (a change without values, a change of every record, or one that carries the whole record) broke it.
-- Rows of one record in several segments, or hot, each end a run of their own; a run goes on from the one before
-- where `opens` says that nothing broke it at its beginning.
-- `many` is a record in several places, `plain` false is left to the rule: see exact.sql.
CREATE OR REPLACE MACRO answer.folded(e, lo, hi, t, c) AS TABLE
WITH
-- Whether anything can be read off at all; the greatest break of every record; what a cut leaves outside.
whole AS MATERIALIZED (
    SELECT
        lo IS NULL OR lo <> hi AS is_many,
        is_many AND (t = 'infinity'::TIMESTAMP OR c = answer.no_cut()) AND NOT EXISTS (
            FROM answer.holes(e) WHERE record_id IS NULL
        ) AND '/poll/' || e NOT IN (SELECT channel FROM store.channels) AS reads_off,
        (SELECT min(passed_to) FROM answer.stream_of(e)) AS passed_to,
        (SELECT max(answer.fold_key(seq, 0, seq)) FROM store.broad_changes b
            WHERE b.entity = e AND effective_at <= t AND seq < c) AS fields_key,
        (SELECT max(answer.fold_key(seq, 0, seq)) FROM store.broad_changes b
            WHERE b.entity = e AND effective_at <= t AND seq < c AND kind <> 'UPDATE') AS status_key,
        CASE WHEN c < answer.no_cut()
            THEN (SELECT min(effective_at) FROM store.changes WHERE c < answer.no_cut() AND seq >= c AND fold_rank = 0)
            ELSE t
        END AS upto
),
spoken AS (
    SELECT
        record_id, seq, kind, fold_rank, since_at, read_to, coalesce(segment, 9223372036854775807) AS segment,
        answer.fold_key(fold_seq, CASE WHEN fold_rank > 0 THEN fold_rank + 1 ELSE 0 END, seq) AS key,
        fold_rank = 1 OR kind IN ('CREATE', 'UNDELETE') AS fills,
        starts_with(kind, 'GAP_') AS breaks
    FROM store.change_spans
    WHERE entity = e AND (lo IS NULL OR record_id BETWEEN lo AND hi) AND (lo IS NULL OR lo <> hi)
      AND effective_at <= t AND fold_seq < c
      AND (
          until_at IS NULL OR until_at > t OR until_place >= c
          OR fold_rank > 0 OR kind IN ('CREATE', 'UNDELETE') OR starts_with(kind, 'GAP_')
      )
      AND kind <> 'GAP_OVERFLOW' AND NOT contains(record_id, '*')
),
counted AS (
    SELECT
        record_id,
        arg_max({'kind': kind, 'seq': seq, 'key': key}, key) AS last,
        min(since_at) AS status_since,
        max(key) FILTER (fills) AS fill_key,
        max(key) FILTER (breaks) AS break_key,
        min(segment) AS first_segment,
        max(segment) <> first_segment OR first_segment = 9223372036854775807 AS is_many,
        max(segment) FILTER (fills) AS fill_segment,
        bool_or(fold_rank = 2) AS is_absent,
        max(read_to) FILTER (fold_rank = 1) + answer.read_margin() AS window_to
    FROM spoken
    GROUP BY record_id
),
records AS MATERIALIZED (
    SELECT
        r.record_id, r.last, r.status_since, r.fill_key, r.is_many,
        greatest(r.fill_key, r.break_key, w.fields_key) AS broken_key,
        coalesce(r.fill_key > greatest(r.break_key, w.fields_key, 0), false) AS is_whole,
        CASE
            WHEN r.last.key < w.status_key THEN 'unknown'
            WHEN r.last.kind IN ('DELETE', 'GAP_DELETE') THEN 'deleted'
            ELSE 'present'
        END AS status,
        w.passed_to,
        w.reads_off AND NOT r.is_absent AND h.record_id IS NULL
            AND coalesce(r.window_to <= w.passed_to AND coalesce(r.window_to <= w.upto, true), r.window_to IS NULL)
            AND NOT (r.is_many AND coalesce(r.fill_segment > r.first_segment OR r.first_segment = 9223372036854775807
                AND r.fill_segment IS NOT NULL, false)) AS is_plain
    FROM counted r
    CROSS JOIN whole w
    LEFT JOIN (SELECT DISTINCT record_id FROM answer.holes(e) WHERE record_id IS NOT NULL) h ON h.record_id = r.record_id
),
-- What is left to the rule: records that are not plain, and those of which nothing counts yet but something is
-- held. A record that is only created later did not exist.
not_yet AS (
    SELECT record_id
    FROM store.change_spans
    WHERE entity = e AND (lo IS NULL OR record_id BETWEEN lo AND hi) AND (lo IS NULL OR lo <> hi)
      AND NOT (effective_at <= t AND fold_seq < c) AND kind <> 'GAP_OVERFLOW' AND NOT contains(record_id, '*')
    GROUP BY record_id
    HAVING NOT bool_or(kind = 'CREATE' AND fold_rank = 0) OR bool_or(fold_rank = 1)
),
left_over AS MATERIALIZED (
    SELECT list(record_id) AS ids
    FROM (
        SELECT record_id FROM records WHERE NOT is_plain
        UNION ALL
        SELECT n.record_id FROM not_yet n ANTI JOIN records r ON r.record_id = n.record_id
        UNION ALL
        SELECT lo WHERE lo = hi
    )
),
live AS (
    SELECT
        f.record_id, f.field, f.value, f.known, f.seq, f.since_at, f.opens,
        answer.fold_key(f.fold_seq, CASE WHEN f.fold_rank > 0 THEN f.fold_rank + 1 ELSE 0 END, f.seq) AS key,
        r.is_many, r.broken_key, r.status, r.status_since, r.is_whole, r.last, r.passed_to
    FROM store.field_spans f
    JOIN records r ON r.record_id = f.record_id
    WHERE f.entity = e AND (lo IS NULL OR f.record_id BETWEEN lo AND hi) AND (lo IS NULL OR lo <> hi)
      AND f.effective_at <= t AND f.fold_seq < c
      AND (f.until_at IS NULL OR f.until_at > t OR f.until_place >= c)
      AND NOT (f.fold_rank = 0 AND (f.kind = 'DELETE' OR starts_with(f.kind, 'GAP_')))
      AND r.is_plain
),
pieces AS (
    SELECT *, max(key) FILTER (NOT opens) OVER (PARTITION BY record_id, field) AS shut_key
    FROM live
    WHERE is_many
),
pieced AS (
    SELECT
        record_id, field,
        arg_max({'value': value, 'known': known, 'seq': seq, 'key': key}, key) AS said,
        min(since_at) FILTER (known AND key >= greatest(broken_key, shut_key, 0)) AS since_at,
        any_value(broken_key) AS broken_key, any_value(status) AS status, any_value(status_since) AS status_since,
        any_value(is_whole) AS is_whole, any_value(last) AS last, any_value(passed_to) AS passed_to
    FROM pieces
    GROUP BY record_id, field
)
SELECT
    record_id, field,
    CASE WHEN known AND coalesce(key >= broken_key, true) THEN value END AS value,
    known AND coalesce(key >= broken_key, true) AS is_known,
    seq, since_at AS value_since, status, status_since, is_whole, last.seq AS last_seq,
    NULL::TIMESTAMP AS inferred_since, NULL::TIMESTAMP AS settles_at, passed_to
FROM live
WHERE NOT is_many
UNION ALL
SELECT
    record_id, field,
    CASE WHEN said.known AND coalesce(said.key >= broken_key, true) THEN said.value END,
    said.known AND coalesce(said.key >= broken_key, true),
    said.seq, since_at, status, status_since, is_whole, last.seq, NULL, NULL, passed_to
FROM pieced
UNION ALL
SELECT
    record_id, NULL, NULL, false, NULL, NULL, status, status_since, is_whole, last.seq, NULL, NULL, passed_to
FROM records
WHERE is_plain
UNION ALL
FROM answer.exact_of(e, lo, hi, t, c, (SELECT ids FROM left_over));
