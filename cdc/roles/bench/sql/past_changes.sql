-- Changes of the records from {first} to {last} with ordinals behind {after} and up to {upto}: the full read of each, and its
-- edits. A year has {periods} periods; in each every record is edited once and every tenth record ten times more, in
-- an order of their own, so that each record can be made by itself and the ordinals of all are contiguous.
WITH
rounds AS (
    SELECT
        p * 2 * {records} + CASE WHEN j = 0 THEN 0 ELSE {records} + (j - 1) * {busy} END AS before,
        p * 11 + j AS turn, j = 0 AS is_whole
    FROM range({periods}) a(p), range(11) b(j)
    WHERE before < {upto} - {records} AND before + {records} >= {after} - {records}
),
edits AS (
    SELECT
        i,
        before + CASE
            WHEN is_whole THEN (i * {step} + turn * 7919) % {records}
            ELSE (i // 10 * {busy_step} + turn * 7919) % {busy}
        END AS e
    FROM range({first}, {last}) t(i), rounds
    WHERE is_whole OR i % 10 = 3
),
placed AS (
    SELECT
        {records} + e + 1 AS seq, '001' || lpad(i::VARCHAR, 12, '0') || 'AAA' AS record_id, e, hash(e) AS h,
        TIMESTAMP '2025-01-02' + to_microseconds(e * (31536000000000 // {edits})) AS made_at
    FROM edits
    WHERE seq > {after} AND seq <= {upto}
)
SELECT
    seq, 'bench' AS org, 'Account' AS entity, record_id, 'UPDATE'::store.kind AS kind, made_at AS committed_at,
    made_at AS effective_at, seq AS fold_seq, 0::UTINYINT AS fold_rank, NULL::TIMESTAMP AS read_to, NULL AS scan_id,
    e AS commit_number, 'transaction' || (e // 3) AS transaction_key, (e % 3)::INTEGER AS sequence_number,
    '0050000000' || lpad((h % 40)::VARCHAR, 5, '0') || 'AAA' AS user_id, 'com/salesforce/api/rest/66.0' AS origin,
    ['loader', 'sync', '', 'browser'][1 + e % 4] AS client, 'event' || e AS event_id, NULL::BLOB AS replay_id,
    'schema1' AS schema_id, '/data/ChangeEvents' AS channel, 'pubsub' AS source,
    ['Field' || lpad((h // 64 % 15 + f)::VARCHAR, 2, '0') FOR f IN range({fields_of_an_edit})] AS changed_fields,
    []::VARCHAR[] AS nulled_fields, made_at AS received_at
FROM placed
UNION ALL
SELECT
    i + 1, 'bench', 'Account', '001' || lpad(i::VARCHAR, 12, '0') || 'AAA', 'BASELINE', TIMESTAMP '2024-06-01',
    TIMESTAMP '2025-01-01', 0, 1, TIMESTAMP '2025-01-01 01:00:00', 'baseline-1', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, 'baseline', [], [], TIMESTAMP '2025-01-01'
FROM range({first}, {last}) t(i)
WHERE i + 1 > {after} AND i + 1 <= {upto};
