-- Records copied into an org before: old id, new id; the last word counts.
SELECT r.record_id, arg_max(r.new_record_id, r.written_at)
FROM store.restore_records r
JOIN main.restores s ON s.restore_id = r.restore_id AND s.kind = 'copy'
WHERE r.new_record_id IS NOT NULL AND (s.counts ->> 'target') = $target
GROUP BY r.record_id;
