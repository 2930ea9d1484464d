-- Fields of described entities that refer to other entities, by the newest description of each.
SELECT entity, f ->> 'path' AS path, f ->> 'name' AS name, (f -> 'reference_to')::VARCHAR[] AS reference_to
FROM (
    SELECT entity, unnest(fields::JSON[]) AS f
    FROM (SELECT entity, arg_max(fields, at_seq) AS fields FROM store.descriptions GROUP BY entity)
)
WHERE json_array_length(f -> 'reference_to') > 0
ORDER BY entity, path;
