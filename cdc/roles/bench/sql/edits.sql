-- Edits `first` to `last` of a year: each four fields of one record, half of them on a tenth of the records.
INSERT INTO store.hot_changes
SELECT
    {records} + i + 1, 'bench', 'Account',
    '001' || lpad((CASE WHEN hash(i, 1) % 2 = 0 THEN hash(i, 2) % {records} ELSE hash(i, 2) % ({records} // 10 + 1) END)::VARCHAR, 12, '0') || 'AAA',
    'UPDATE', TIMESTAMP '2025-01-02' + to_microseconds(i * (31536000000000 // {edits})),
    TIMESTAMP '2025-01-02' + to_microseconds(i * (31536000000000 // {edits})), {records} + i + 1, 0, NULL, NULL, i,
    'transaction' || (i // 3), i % 3, '0050000000' || lpad((hash(i, 3) % 40)::VARCHAR, 5, '0') || 'AAA',
    'com/salesforce/api/rest/66.0', ['loader', 'sync', '', 'browser'][1 + i % 4], 'event' || i, NULL, 'schema1',
    '/data/ChangeEvents', 'pubsub',
    ['Field' || lpad((hash(i, 4) % 15)::VARCHAR, 2, '0'), 'Field' || lpad((hash(i, 4) % 15 + 1)::VARCHAR, 2, '0'),
     'Field' || lpad((hash(i, 4) % 15 + 2)::VARCHAR, 2, '0'), 'Field' || lpad((hash(i, 4) % 15 + 3)::VARCHAR, 2, '0')],
    [], TIMESTAMP '2025-01-02' + to_microseconds(i * (31536000000000 // {edits}))
FROM range({first}, {last}) t(i);

INSERT INTO store.hot_fields
SELECT
    seq, org, entity, record_id, unnest(changed_fields), 'value ' || (hash(seq, generate_subscripts(changed_fields, 1)) % 1000),
    true, kind, effective_at, committed_at, fold_seq, fold_rank, read_to
FROM store.hot_changes
WHERE seq > {records} + {first} AND seq <= {records} + {last};
