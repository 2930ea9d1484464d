-- What differs, of the `records` and `fields` of diff.sql or diff_read_off.sql; diff_rows.sql and diff_groups.sql end it.
-- The change that made a record what it is at the second moment.
made AS (
    SELECT record_id, max(seq) AS seq
    FROM main.changes
    WHERE entity = $entity AND kind NOT IN ('UPDATE', 'GAP_UPDATE', 'GAP_OVERFLOW', 'BASELINE', 'REREAD')
      AND effective_at <= $to_t::TIMESTAMP AND seq < $to_c::BIGINT
    GROUP BY record_id
),
differing AS (
    SELECT
        record_id, field, before, before_known, before_inferred, after, after_known, after_inferred, seq,
        CASE
            WHEN NOT before_known THEN 'became known'
            WHEN NOT after_known THEN 'became unknown'
            ELSE 'changed'
        END AS difference
    FROM fields
    WHERE (before_known AND after_known AND before IS DISTINCT FROM after) OR before_known <> after_known
    UNION ALL
    SELECT
        record_id, NULL, before_status, true, false, after_status, true, false, made.seq,
        CASE
            WHEN after_status = 'unknown' OR before_status = 'unknown' THEN 'status ' || coalesce(after_status, 'none')
            WHEN before_status IS NULL AND after_status = 'present' THEN 'created'
            WHEN before_status IS NULL THEN 'created and deleted'
            WHEN after_status = 'deleted' THEN 'deleted'
            WHEN after_status IS NULL THEN 'not yet created'
            ELSE 'undeleted'
        END
    FROM records LEFT JOIN made USING (record_id)
    WHERE before_status IS DISTINCT FROM after_status
),
differences AS MATERIALIZED (
    SELECT
        d.* EXCLUDE (seq), d.seq,
        c.effective_at AS set_at, c.user_id, c.client, c.transaction_key
    FROM differing d
    LEFT JOIN main.changes c
        ON c.seq = d.seq AND c.record_id = d.record_id AND c.entity = $entity
        AND c.kind NOT IN ('BASELINE', 'REREAD', 'ABSENT') AND c.source NOT IN ('baseline', 'reread', 'poll')
),
-- What is to be said of the whole.
told AS (
    SELECT
        (SELECT count(*) FROM records) AS records,
        (SELECT count(*) FROM records WHERE 'unknown' IN (before_status, after_status)) AS unknown_status,
        (SELECT count(*) FROM records WHERE NOT is_whole) AS not_whole,
        (SELECT count(*) FROM records WHERE is_inferred) AS inferred,
        (SELECT count(*) FROM fields WHERE NOT before_known AND NOT after_known) AS unknown_at_both,
        (SELECT count(*) FROM differences WHERE field IS NOT NULL AND difference <> 'changed') AS unknown_at_one,
        (SELECT count(*) FROM differences) AS differences,
        (SELECT count(DISTINCT record_id) FROM differences) AS differing_records,
        (SELECT min(passed_to) FROM records) AS passed_to
)
