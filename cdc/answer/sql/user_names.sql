-- What users are called, by the last value known of each part of their names. $ids: the users asked for.
SELECT record_id, field, arg_max(value, seq) AS value
FROM main.field_changes
WHERE entity = 'User' AND list_contains($ids, record_id) AND value IS NOT NULL
  AND field IN ('Name', 'Name.FirstName', 'Name.LastName', 'FirstName', 'LastName', 'Username')
GROUP BY record_id, field;
