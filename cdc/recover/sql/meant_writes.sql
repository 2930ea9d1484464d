-- Each field the meant changes gave a value: what has to be put back. What the org stamps by itself is left out.
-- A compound that stands in `fields` means all of its parts.
CREATE OR REPLACE TEMP TABLE meant_writes AS
SELECT f.seq, m.entity, f.record_id, m.kind, f.field, f.value, f.known
FROM main.field_changes f
JOIN temp.meant m ON m.seq = f.seq AND m.record_id = f.record_id
WHERE f.field NOT IN ('LastModifiedDate', 'LastModifiedById', 'SystemModstamp', 'CreatedDate', 'CreatedById')
  AND (len($fields) = 0 OR list_contains($fields, f.field) OR list_contains($fields, split_part(f.field, '.', 1)));
