-- The fields of `piece_changes`: those an edit names, and {fields} of a full read.
SELECT
    seq, org, entity, record_id, unnest(named) AS field, 'value ' || (hash(seq, generate_subscripts(named, 1)) % 1000) AS value,
    true AS known, kind, effective_at, committed_at, fold_seq, fold_rank, read_to
FROM (
    SELECT *, CASE
        WHEN fold_rank = 0 THEN changed_fields
        ELSE ['Field' || lpad(f::VARCHAR, 2, '0') FOR f IN range({fields})]
    END AS named
    FROM piece_changes
);
