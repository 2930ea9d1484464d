-- Every reference field with the entities it may point to, of those the journal knows.
WITH described AS (
    SELECT entity, unnest(
        json_transform(
            arg_max(fields, at_seq), '[{"path": "VARCHAR", "type": "VARCHAR", "reference_to": ["VARCHAR"]}]'
        )
    ) AS field
    FROM store.descriptions
    GROUP BY entity
),
targets AS (
    SELECT entity, field.path AS field, unnest(field.reference_to) AS target
    FROM described
    WHERE field."type" = 'reference' AND field.path NOT IN ('CreatedById', 'LastModifiedById')
)
SELECT t.entity, t.field, list(t.target ORDER BY t.target) AS reference_to
FROM targets t
SEMI JOIN described d ON d.entity = t.target
GROUP BY t.entity, t.field
ORDER BY t.entity, t.field;
