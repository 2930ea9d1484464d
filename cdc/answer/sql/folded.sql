-- Every record's fields at a moment, as exact.sql has them: read off where a segment says how long each row is the
-- newest (store.field_spans), and folded by the rule itself only where that does not say enough.
--
-- A record is `plain`, and its rows can be read off, if nothing but order decides about it: no lost or unreadable
-- events concern it, no full state whose read a change that does not count may have reached, none that is not
-- settled, none that it is gone. Its fields then have the value of the last row that counts, unless a mark behind
-- it (a change without values, a change of every record, or one that carries the whole record) broke it.
-- Rows of one record in several segments, or hot, each end a run of their own; a run goes on from the one before
-- where `opens` says that nothing broke it at its beginning.
-- `many` is a record in several places, `plain` false is left to the rule: see exact.sql. A `place` is the order of
-- folding (fold_key.sql) without its last part, in a number that is cheap to compare.
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
        (SELECT max(seq) * 4 FROM store.broad_changes b
            WHERE b.entity = e AND effective_at <= t AND seq < c) AS fields_place,
        (SELECT max(seq) * 4 FROM store.broad_changes b
            WHERE b.entity = e AND effective_at <= t AND seq < c AND kind <> 'UPDATE') AS status_place,
        CASE WHEN c < answer.no_cut()
            THEN (SELECT min(effective_at) FROM store.changes WHERE c < answer.no_cut() AND seq >= c AND fold_rank = 0)
            ELSE t
        END AS upto
),
spoken AS (
    SELECT
        record_id, seq, kind, fold_rank, since_at, read_to, coalesce(segment, 9223372036854775807) AS segment,
        answer.fold_key(fold_seq, CASE WHEN fold_rank > 0 THEN fold_rank + 1 ELSE 0 END, seq) AS key,
        fold_seq * 4 + CASE WHEN fold_rank > 0 THEN fold_rank + 1 ELSE 0 END AS place,
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
        arg_max({'kind': kind, 'seq': seq, 'place': place}, key) AS last,
        min(since_at) AS status_since,
        max(place) FILTER (fills) AS fill_place,
        arg_max(seq, key) FILTER (fills) AS fill_seq,
        max(place) FILTER (breaks) AS break_place,
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
        row_number() OVER () AS record_no, r.record_id, r.last, r.status_since, r.is_many,
        greatest(r.fill_place, r.break_place, w.fields_place) AS broken,
        coalesce(broken, -1) AS broken_place,
        CASE WHEN broken = r.fill_place THEN r.fill_seq ELSE broken_place // 4 END AS broken_seq,
        coalesce(r.fill_place > greatest(r.break_place, w.fields_place, 0), false) AS is_whole,
        CASE
            WHEN r.last.place < w.status_place THEN 'unknown'
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
        r.record_no, r.is_many, f.field, f.value, f.seq, f.opens,
        f.fold_seq * 4 + CASE WHEN f.fold_rank > 0 THEN 2 ELSE 0 END AS place,
        f.known AND (place > r.broken_place OR (place = r.broken_place AND f.seq >= r.broken_seq)) AS is_known,
        CASE WHEN is_known THEN f.since_at END AS since_at
    FROM store.field_spans f
    JOIN records r ON r.record_id = f.record_id
    WHERE f.entity = e AND (lo IS NULL OR f.record_id BETWEEN lo AND hi) AND (lo IS NULL OR lo <> hi)
      AND f.effective_at <= t AND f.fold_seq < c
      AND (f.until_at IS NULL OR f.until_at > t OR f.until_place >= c)
      AND (f.fold_rank > 0 OR NOT (f.kind = 'DELETE' OR starts_with(f.kind, 'GAP_')))
      AND r.is_plain
),
-- The last of the runs of a field, by numbers: order within a record that is plain is the place alone.
pieced AS (
    SELECT
        record_no, field,
        arg_max_null(value, place) AS value,
        arg_max(is_known, place) AS is_known,
        arg_max(seq, place) AS seq,
        min(since_at) AS since_at,
        max(CASE WHEN NOT opens THEN place END) AS shut_place
    FROM live
    WHERE is_many
    GROUP BY record_no, field
),
-- Where something broke a field at the beginning of a run, only the runs from there on count.
shut AS (
    SELECT p.record_no, p.field, min(l.since_at) AS since_at
    FROM (FROM pieced WHERE shut_place IS NOT NULL) p
    JOIN (FROM live WHERE is_many) l
        ON l.record_no = p.record_no AND l.field = p.field AND l.place >= p.shut_place
    GROUP BY p.record_no, p.field
),
said AS (
    SELECT record_no, field, value, is_known, seq, since_at FROM live WHERE NOT is_many
    UNION ALL
    SELECT record_no, field, value, is_known, seq, since_at FROM pieced WHERE shut_place IS NULL
    UNION ALL
    SELECT p.record_no, p.field, p.value, p.is_known, p.seq, s.since_at
    FROM (FROM pieced WHERE shut_place IS NOT NULL) p
    JOIN shut s ON s.record_no = p.record_no AND s.field = p.field
)
SELECT
    r.record_id, s.field, CASE WHEN s.is_known THEN s.value END AS value, s.is_known, s.seq,
    s.since_at AS value_since, r.status, r.status_since, r.is_whole, r.last.seq AS last_seq,
    NULL::TIMESTAMP AS inferred_since, NULL::TIMESTAMP AS settles_at, r.passed_to
FROM said s
JOIN records r ON r.record_no = s.record_no
UNION ALL
SELECT
    record_id, NULL, NULL, false, NULL, NULL, status, status_since, is_whole, last.seq, NULL, NULL, passed_to
FROM records
WHERE is_plain
-- The rule itself, for what is left to it:
UNION ALL
FROM answer.exact_of(e, lo, hi, t, c, (SELECT ids FROM left_over));
