-- Everything known of an entity's records (of those from lo to hi where lo is not NULL) that may speak about a
-- moment, in fold order by `key`. The moment is a time t ('infinity': no bound) and a cut c (the greatest
-- number: no cut): an event counts if effective_at <= t and seq < c.
--
-- role: event      a change that counts
--       state      a full state that counts
--       inferred   a full state from after the moment, of a record of which nothing counts, unchanged
--                  since before the moment by its SystemModstamp
--       unsettled  a full state that would count, but the stream has not passed its read
--       hole       a stretch of this record alone that hides changes, or between two polls
--       later      nothing counts; the record is known from after the moment only
--       everyone   an event or stretch that concerns every record: record_id is NULL
--       stream     the org time the stream has passed, in `since`: one row, record_id is NULL
--
-- A full state may hold later changes already. It says nothing of the fields (`says_fields`), of the
-- status (`status`) or of one field (see exact.sql) where something that does not count may be in it:
-- anything up to `window_to`, its read and the margin of the clocks.
CREATE OR REPLACE MACRO answer.items(e, lo, hi, t, c) AS TABLE
WITH
changed AS MATERIALIZED (
    SELECT
        seq, record_id, kind, fold_seq, fold_rank, effective_at, committed_at, scan_id, source = 'poll' AS is_polled,
        read_to + answer.read_margin() AS window_to,
        effective_at <= t AND seq < c AS counts
    FROM store.changes
    WHERE entity = e AND (lo IS NULL OR record_id BETWEEN lo AND hi)
      /* of these */
      AND kind <> 'GAP_OVERFLOW' AND NOT contains(record_id, '*')
),
-- Events about every record of the entity: wildcard ids and overflows.
many AS MATERIALIZED (
    SELECT seq, kind, effective_at, effective_at <= t AND seq < c AS counts
    FROM store.broad_changes
    WHERE entity = e
),
many_later AS (
    SELECT
        min(effective_at) AS fields_at,
        min(effective_at) FILTER (kind <> 'UPDATE') AS status_at
    FROM many
    WHERE NOT counts
),
-- What does not count, and names every field or the status.
later AS (
    SELECT
        record_id,
        min(effective_at) FILTER (kind NOT IN ('UPDATE', 'DELETE')) AS fields_at,
        min(effective_at) FILTER (kind <> 'UPDATE') AS status_at,
        bool_or(kind = 'CREATE') AS is_created
    FROM changed
    WHERE fold_rank = 0 AND NOT counts
    GROUP BY record_id
),
holes AS MATERIALIZED (FROM answer.holes(e)),
scans AS (
    SELECT job_id AS scan_id, min(started_at) AS started_at FROM store.jobs GROUP BY job_id
),
-- From when each poll looked, where no stream tells what happened since.
poll_windows AS (
    SELECT job_id, min(started_at) AS started_at
    FROM store.jobs
    WHERE kind = 'poll' AND entity = e AND '/poll/' || e IN (SELECT channel FROM store.channels)
    GROUP BY job_id
),
full_states AS MATERIALIZED (
    SELECT changed.*, scans.started_at FROM changed LEFT JOIN scans USING (scan_id) WHERE fold_rank > 0
),
-- Holes that begin before a full state's read was over: it was read after them, or says nothing. Clocks that
-- differ cannot tell which of two near moments came first; a repair is asked for when its stretch is over, is
-- named `repair-…` and stands at the beginning of it.
overlapping AS (
    SELECT f.record_id AS id, f.seq, f.fold_rank, f.fold_seq, f.scan_id, f.effective_at, f.started_at, h.*
    FROM full_states f JOIN holes h ON h.starts_at <= f.window_to
    WHERE h.record_id IS NULL
    UNION ALL
    SELECT f.record_id, f.seq, f.fold_rank, f.fold_seq, f.scan_id, f.effective_at, f.started_at, h.*
    FROM full_states f JOIN holes h ON h.record_id = f.record_id
    WHERE h.starts_at <= f.window_to
),
read_after AS (
    SELECT
        id, seq, fold_rank, fold_seq, coalesce(to_ordinal, from_ordinal) AS place, ends_at,
        CASE
            WHEN to_ordinal IS NOT NULL THEN fold_seq >= to_ordinal
            ELSE fold_seq >= from_ordinal AND (
                (starts_with(scan_id, 'repair-') AND effective_at = from_at)
                OR coalesce(started_at >= to_at + answer.read_margin(), false)
            )
        END AS is_after
    FROM overlapping
),
verdicts AS (
    SELECT id, seq, fold_rank, bool_and(is_after) AS is_sound, max(ends_at) AS ends_at,
        bool_or(is_after AND place = fold_seq) AS is_behind
    FROM read_after
    GROUP BY id, seq, fold_rank
),
last_events AS (
    SELECT record_id, max(seq) AS seq FROM changed WHERE fold_rank = 0 GROUP BY record_id
),
passed AS MATERIALIZED (SELECT min(passed_to) AS passed_to FROM answer.stream_of(e)),
states AS MATERIALIZED (
    SELECT
        f.record_id, f.seq, f.kind, f.fold_seq, f.fold_rank, f.committed_at, f.window_to,
        answer.fold_key(
            f.fold_seq, f.fold_rank + CASE WHEN coalesce(v.is_behind, false) THEN 5 ELSE 1 END, f.seq
        ) AS key,
        greatest(f.effective_at, v.ends_at) AS counts_from,
        counts_from <= t AND f.fold_seq < c AS counts,
        f.is_polled OR coalesce(passed.passed_to >= f.window_to, false) AS is_settled,
        f.fold_rank = 1
            AND coalesce(least(later.fields_at, many_later.fields_at) > f.window_to, true) AS says_fields,
        (f.fold_rank = 1 OR coalesce(last_events.seq <= f.fold_seq, true))
            AND coalesce(least(later.status_at, many_later.status_at) > f.window_to, true) AS says_status
    FROM full_states f
    LEFT JOIN verdicts v ON v.id = f.record_id AND v.seq = f.seq AND v.fold_rank = f.fold_rank
    LEFT JOIN later ON later.record_id = f.record_id
    LEFT JOIN last_events ON last_events.record_id = f.record_id
    CROSS JOIN passed
    CROSS JOIN many_later
    WHERE coalesce(v.is_sound, true)
),
events AS MATERIALIZED (
    SELECT record_id, seq, kind, effective_at, answer.fold_key(fold_seq, 0, seq) AS key
    FROM changed
    WHERE fold_rank = 0 AND counts
),
record_holes AS (
    SELECT h.record_id, h.starts_at, h.key
    FROM holes h SEMI JOIN changed ON changed.record_id = h.record_id
    WHERE h.starts_at <= t AND h.behind_ordinal < c
    UNION ALL
    -- A record that a poll found changed was changed at some time since the poll before, more than once perhaps.
    SELECT ch.record_id, w.started_at, answer.fold_key(ch.fold_seq, 1, 0)
    FROM changed ch JOIN poll_windows w ON w.job_id = ch.scan_id
    WHERE ch.is_polled AND w.started_at <= t AND ch.fold_seq < c
),
-- Times of a cut are those of the change it stands before.
cut_time AS (
    SELECT least(t, (
        SELECT min(effective_at) FROM store.changes WHERE c < answer.no_cut() AND seq >= c AND fold_rank = 0
    )) AS t
),
early AS (
    SELECT s.*
    FROM states s CROSS JOIN cut_time
    WHERE NOT s.counts AND s.is_settled AND s.fold_rank = 1 AND s.committed_at <= cut_time.t
      AND s.record_id NOT IN (SELECT record_id FROM events)
      AND s.record_id NOT IN (SELECT record_id FROM states WHERE counts)
      AND s.record_id NOT IN (SELECT record_id FROM record_holes)
    QUALIFY row_number() OVER (PARTITION BY s.record_id ORDER BY s.key) = 1
),
spoken AS MATERIALIZED (
    SELECT
        'event' AS role, record_id, seq, kind, key, effective_at AS since, NULL::TIMESTAMP AS modified_at,
        NULL::TIMESTAMP AS window_to, kind IN ('CREATE', 'UNDELETE') AS fills, starts_with(kind, 'GAP_') AS breaks,
        NOT starts_with(kind, 'GAP_') AND kind <> 'DELETE' AS says_fields,
        CASE WHEN ends_with(kind, '_DELETE') OR kind = 'DELETE' THEN 'deleted' ELSE 'present' END AS status
    FROM events
    UNION ALL
    SELECT
        CASE WHEN NOT counts THEN 'inferred' WHEN is_settled THEN 'state' ELSE 'unsettled' END,
        record_id, seq, kind, key, counts_from, committed_at, window_to,
        says_fields, false, says_fields,
        CASE WHEN NOT says_status THEN NULL WHEN fold_rank = 2 OR kind = 'DELETE' THEN 'deleted' ELSE 'present' END
    FROM (FROM states WHERE counts UNION ALL FROM early)
    UNION ALL
    SELECT
        'hole', record_id, NULL, NULL, key, starts_at, NULL, NULL,
        false, true, false, 'unknown'
    FROM record_holes
)
FROM spoken
UNION ALL
-- A wildcard UPDATE says nothing of the status.
SELECT 'everyone', NULL, seq, kind, answer.fold_key(seq, 0, seq), effective_at, NULL, NULL, false, true, false,
    CASE WHEN kind <> 'UPDATE' THEN 'unknown' END
FROM many WHERE counts
UNION ALL
SELECT 'everyone', NULL, NULL, NULL, key, starts_at, NULL, NULL, false, true, false,
    'unknown'
FROM holes WHERE record_id IS NULL AND starts_at <= t AND behind_ordinal < c
UNION ALL
SELECT 'stream', NULL, NULL, NULL, NULL, passed_to, NULL, NULL, false, false, false, NULL FROM passed
UNION ALL
-- A record whose creation lies after the moment did not exist; of any other, nothing is known.
SELECT 'later', record_id, NULL, NULL, NULL, NULL, NULL, NULL, false, false, false, NULL
FROM (SELECT DISTINCT record_id FROM changed)
WHERE record_id NOT IN (SELECT record_id FROM spoken)
  AND record_id NOT IN (SELECT record_id FROM later WHERE is_created);
