-- What differs between two moments of an entity's records (from $lo to $hi; of $ids alone where it is not NULL):
-- the first of the CTEs that diff_rest.sql goes on with. A row of `differences` is one field of one record; a row
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
