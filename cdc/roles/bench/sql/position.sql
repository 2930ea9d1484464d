-- What the journal would know of the channel and of the read.
INSERT INTO store.channels BY NAME
SELECT
    '/data/ChangeEvents' AS channel, 'bench' AS org, TIMESTAMP '2026-02-01' AS passed_to,
    TIMESTAMP '2025-01-01' AS live_from, TIMESTAMP '2026-01-02' AS max_committed, 0 AS at_seq;

INSERT INTO store.jobs BY NAME
SELECT
    'baseline-1' AS job_id, 1 AS version, 0 AS seq, 'bench' AS org, 'baseline' AS kind, 'Account' AS entity,
    []::VARCHAR[] AS record_ids, '' AS reason, '' AS requested_by, 'ended' AS state, 0 AS after_ordinal,
    {records} AS rows, {records} AS rows_total, TIMESTAMP '2025-01-01' AS started_at,
    TIMESTAMP '2025-01-01 01:00:00' AS finished_at, '' AS error;

INSERT INTO store.checkpoint BY NAME SELECT {records} + {edits} AS ordinal, '{{}}' AS offsets;
