-- One record at a moment: a row for each field, with the change that set it (contract, section 5).
-- A value that a full state gave was set by a change nobody saw: `set_at`, `set_by` and `set_client` are
-- NULL and `seq` is that of the full state. `inferred` values are shown, and not known.
CREATE OR REPLACE MACRO answer.record(e, lo, hi, t, c) AS TABLE
SELECT
    f.field AS field,
    f.value AS value,
    f.is_known AND f.inferred_since IS NULL AS known,
    CASE WHEN s.fold_rank = 0 THEN s.effective_at END AS set_at,
    CASE WHEN s.fold_rank = 0 THEN s.user_id END AS set_by,
    CASE WHEN s.fold_rank = 0 THEN s.client END AS set_client,
    f.seq AS seq,
    f.is_known AND f.inferred_since IS NOT NULL AS inferred
FROM answer.exact(e, lo, hi, t, c) f
LEFT JOIN store.changes s
    ON s.seq = f.seq AND s.entity = e AND s.record_id BETWEEN lo AND hi AND s.fold_rank < 2
WHERE f.field IS NOT NULL;

CREATE OR REPLACE MACRO main.record_at(of_entity, of_record, at_time) AS TABLE
FROM answer.record(of_entity, of_record::VARCHAR, of_record::VARCHAR, at_time::TIMESTAMP, answer.no_cut());

CREATE OR REPLACE MACRO main.record_before(of_entity, of_record, before_seq) AS TABLE
FROM answer.record(of_entity, of_record::VARCHAR, of_record::VARCHAR, 'infinity'::TIMESTAMP, before_seq::BIGINT);
