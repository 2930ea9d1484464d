-- Every reference field the org described last, by entity.
SELECT entity, d.field.path AS field
FROM (
    SELECT entity, unnest(
        json_transform(arg_max(fields, at_seq), '[{"path": "VARCHAR", "type": "VARCHAR"}]')
    ) AS field
    FROM store.descriptions
    GROUP BY entity
) d
WHERE d.field."type" = 'reference' AND d.field.path NOT IN ('CreatedById', 'LastModifiedById');
