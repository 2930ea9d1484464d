-- What differs between two moments of an entity's records (from $lo to $hi; of $ids alone where it is not NULL):
-- the CTEs that diff_rows.sql and diff_groups.sql end. A row of `differences` is one field of one record; a row
-- with field NULL is the record itself: its status before and after, NULL where it did not exist.
--
-- A record that did not exist has null in every field. Of a field that is unknown at one of the two moments the
-- row says so; unknown at both it is no difference, and is counted in `told`.
-- The change that is named is the one that set the value at the second moment. A value that a full state gave
-- was set by a change nobody saw: user, client and transaction are NULL.
WITH
first_values AS MATERIALIZED (
    FROM answer.folded($entity, $lo, $hi, $from_t::TIMESTAMP, $from_c::BIGINT)
    WHERE $ids::VARCHAR[] IS NULL OR record_id IN (SELECT unnest($ids::VARCHAR[]))
),
second_values AS MATERIALIZED (
    FROM answer.folded($entity, $lo, $hi, $to_t::TIMESTAMP, $to_c::BIGINT)
    WHERE $ids::VARCHAR[] IS NULL OR record_id IN (SELECT unnest($ids::VARCHAR[]))
),
first_records AS (
    SELECT record_id, any_value(status) AS status, any_value(is_whole) AS is_whole,
        any_value(inferred_since) AS inferred_since, any_value(passed_to) AS passed_to
    FROM first_values GROUP BY record_id
),
second_records AS (
    SELECT record_id, any_value(status) AS status, any_value(is_whole) AS is_whole,
        any_value(inferred_since) AS inferred_since, any_value(passed_to) AS passed_to
    FROM second_values GROUP BY record_id
),
-- The change that made a record what it is at the second moment.
made AS (
    SELECT record_id, max(seq) AS seq
    FROM main.changes
    WHERE entity = $entity AND kind NOT IN ('UPDATE', 'GAP_UPDATE', 'GAP_OVERFLOW', 'BASELINE', 'REREAD')
      AND effective_at <= $to_t::TIMESTAMP AND seq < $to_c::BIGINT
    GROUP BY record_id
),
records AS (
    SELECT
        coalesce(a.record_id, b.record_id) AS record_id,
        a.status AS before_status, b.status AS after_status,
        a.record_id IS NULL AS is_new, b.record_id IS NULL AS is_away,
        coalesce(a.is_whole, true) AND coalesce(b.is_whole, true) AS is_whole,
        coalesce(a.inferred_since, b.inferred_since) IS NOT NULL AS is_inferred,
        coalesce(a.passed_to, b.passed_to) AS passed_to
    FROM first_records a FULL JOIN second_records b ON a.record_id = b.record_id
),
pairs AS (
    SELECT
        coalesce(a.record_id, b.record_id) AS record_id,
        coalesce(a.field, b.field) AS field,
        a.value AS before, a.is_known AS before_known, a.inferred_since IS NOT NULL AS before_inferred,
        b.value AS after, b.is_known AS after_known, b.inferred_since IS NOT NULL AS after_inferred,
        b.seq AS seq
    FROM (FROM first_values WHERE field IS NOT NULL) a
    FULL JOIN (FROM second_values WHERE field IS NOT NULL) b ON a.record_id = b.record_id AND a.field = b.field
),
fields AS (
    SELECT
        p.record_id, p.field, p.before, p.before_inferred, p.after, p.after_inferred, p.seq,
        coalesce(p.before_known, r.is_new) AS before_known,
        coalesce(p.after_known, r.is_away) AS after_known
    FROM pairs p JOIN records r USING (record_id)
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
