-- Records of a restore that did not end well, by what was said of them.
SELECT entity, kind, result, error, count(*) AS records, any_value(record_id) AS for_example
FROM main.restore_records
WHERE restore_id = $restore_id AND result NOT IN ('restored', 'already')
GROUP BY ALL
ORDER BY records DESC;
