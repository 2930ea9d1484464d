-- What became of all records that restores wrote.
SELECT result, count(*) AS records FROM main.restore_records WHERE result <> 'intended' GROUP BY result;
