-- A page of the differences in the order of records and fields, the record itself first; see diff.sql.
SELECT page.*, told.* RENAME (records AS told_records)
FROM told LEFT JOIN (
    SELECT * FROM differences
    WHERE (record_id, coalesce(field, '')) > ($after_record, $after_field)
    ORDER BY record_id, field NULLS FIRST
    LIMIT $limit
) page ON true
ORDER BY record_id, field NULLS FIRST;
