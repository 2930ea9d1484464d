-- Fields of other records that pointed to one of the records of `wanted` (record_id, cut): the journal's last word
-- before the change `cut`. `pointers`: entity, field of every reference the org describes.
-- arg_max skips NULL, and would bring back a pointer that somebody had emptied: the value travels in a struct.
WITH held AS (
    SELECT DISTINCT f.entity, f.record_id, f.field, w.record_id AS old_id, w.cut
    FROM main.field_changes f
    SEMI JOIN pointers p ON p.entity = f.entity AND p.field = f.field
    JOIN wanted w ON w.record_id = f.value AND f.seq < w.cut
    WHERE f.known
)
SELECT h.entity, h.record_id, h.field, h.old_id
FROM held h
JOIN main.field_changes f ON f.entity = h.entity AND f.record_id = h.record_id AND f.field = h.field AND f.seq < h.cut
WHERE f.known
GROUP BY ALL
HAVING arg_max({'value': f.value}, f.seq).value = h.old_id
ORDER BY h.entity, h.record_id, h.field;
