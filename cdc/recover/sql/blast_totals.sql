-- The incident in one row.
SELECT
    count(DISTINCT record_id) AS records, count(*) AS changes, count(DISTINCT transaction_key) AS transactions,
    count(DISTINCT entity) AS entities, min(committed_at) AS first_at, max(committed_at) AS last_at,
    min(seq) AS first_seq, max(seq) AS last_seq,
    coalesce(bool_or(origin = ''), false) AS by_automation,  -- no API and no page of the org: most automation
    list(DISTINCT user_id) AS users, list(DISTINCT client) FILTER (client <> '') AS clients
FROM temp.meant;
