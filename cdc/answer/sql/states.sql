-- The state of every record ever known of an entity at a moment, one row a record (contract, section 5),
-- and the names of the fields that something named and nothing tells (`unknown_fields`).
-- A missing key of `fields` is unknown, a NULL is null. Inferred values stand in `fields` with
-- `inferred_since` set and are not known.
CREATE OR REPLACE MACRO answer.states(e, lo, hi, t, c) AS TABLE
WITH
grouped AS (
    SELECT
        record_id,
        any_value(status) AS status,
        map(list(field) FILTER (is_known), list(value) FILTER (is_known)) AS fields,
        any_value(last_seq) AS last_change_seq,
        greatest(max(value_since) FILTER (is_known), any_value(status_since)) AS since,
        any_value(inferred_since) AS inferred_since,
        any_value(is_whole) AS is_whole,
        any_value(settles_at) AS settles_at,
        any_value(passed_to) AS passed_to,
        list_sort(list(field) FILTER (field IS NOT NULL AND NOT is_known)) AS unknown_fields
    FROM answer.folded(e, lo, hi, t, c)
    GROUP BY record_id
),
reasoned AS (
    SELECT
        g.*,
        concat_ws('; ',
            CASE WHEN t < 'infinity'::TIMESTAMP
                  AND NOT coalesce(passed_to >= t + answer.read_margin(), false)
                THEN 'the stream has not passed this time' END,
            CASE WHEN t > stopped_at
                THEN 'its channel stands still since ' || strftime(stopped_at, '%Y-%m-%dT%H:%M:%SZ') END,
            CASE WHEN inferred_since IS NOT NULL
                THEN 'inferred from SystemModstamp, read only later' END,
            CASE WHEN settles_at IS NOT NULL AND (NOT is_whole OR status = 'unknown' OR unknown_fields IS NOT NULL)
                THEN 'not settled: the stream has not passed ' || strftime(settles_at, '%Y-%m-%dT%H:%M:%SZ') END,
            CASE WHEN inferred_since IS NULL AND last_change_seq IS NULL
                THEN 'nothing was recorded of it up to this time' END,
            CASE WHEN NOT is_whole AND last_change_seq IS NOT NULL
                THEN 'not known in full: no full state since its first change or the last hole' END,
            CASE WHEN status = 'unknown' THEN 'status unknown' END,
            CASE WHEN unknown_fields IS NOT NULL THEN 'unknown: ' || array_to_string(unknown_fields[:8], ', ')
                || CASE WHEN len(unknown_fields) > 8 THEN ' and ' || (len(unknown_fields) - 8) || ' more' ELSE '' END
                END
        ) AS reason
    FROM grouped g CROSS JOIN answer.stopped(e)
)
SELECT
    (SELECT value FROM store.meta WHERE key = 'org') AS org,
    record_id,
    status,
    coalesce(fields, MAP {}) AS fields,
    coalesce(unknown_fields, []) AS unknown_fields,
    last_change_seq,
    CASE WHEN inferred_since IS NULL THEN since END AS known_since,
    inferred_since,
    reason = '' AS complete,
    nullif(reason, '') AS incomplete_reason
FROM reasoned;
