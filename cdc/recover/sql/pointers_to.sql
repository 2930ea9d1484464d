-- Fields of other records that pointed to records made anew: the journal's last word before the first meant
-- change. `wanted`: the old ids; `pointers`: entity, field of every reference the org describes.
SELECT f.entity, f.record_id, f.field, f.value AS old_id
FROM (
    SELECT entity, record_id, field, arg_max(value, seq) AS value
    FROM main.field_changes
    SEMI JOIN pointers USING (entity, field)
    WHERE seq < $cut AND known
    GROUP BY entity, record_id, field
) f
SEMI JOIN wanted w ON w.record_id = f.value
ORDER BY f.entity, f.record_id, f.field;
