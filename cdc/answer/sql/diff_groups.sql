-- The differences counted by what stands for {by}; see diff.sql.
SELECT grouped.*, told.* RENAME (records AS told_records)
FROM told LEFT JOIN (
    SELECT
        {by},
        count(DISTINCT record_id) AS records, count(field) AS fields,
        count(DISTINCT transaction_key) AS transactions, min(set_at) AS first_at, max(set_at) AS last_at
    FROM differences
    GROUP BY ALL
    ORDER BY records DESC, fields DESC, {by}
    LIMIT $limit
) grouped ON true;
