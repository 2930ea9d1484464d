-- What became of a restore's records.
SELECT entity, kind, result, count(*) AS records, any_value(error) AS for_example
FROM main.restore_records
WHERE restore_id = $restore_id
GROUP BY ALL
ORDER BY entity, kind, records DESC;
